"""PacketVis: is there BGP or RPKI trouble, and which notifications does the vendor list."""
