"""PacketVis: the warning about BGP or RPKI trouble, and the notifications that the vendor lists."""
