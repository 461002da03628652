from bridge.delivery.poison_events import Suspects


def test_requests_are_halved_while_they_fail_and_doubled_while_they_pass():
    """100 fails, 50 fails, 25 passes, then 50 go together again."""
    suspects = Suspects(most=100, width=100)
    suspects = suspects.failed(range(100))
    assert suspects.width == 50
    suspects = suspects.failed(range(50))
    assert suspects.width == 25
    suspects = suspects.passed(range(25))
    assert suspects.width == 50


def test_what_failed_alone_is_passed_over():
    """After an event failed by itself, another one is tried; when all have failed, it is their turn again."""
    suspects = Suspects(most=10, width=1).failed([7])
    assert suspects.wanted(1) == 2
    assert suspects.arrange([7, 8, 9], 1) == ([[8]], [7, 9])
    assert suspects.failed([8]).arrange([7, 8], 1) == ([[7]], [8])


def test_an_event_that_fails_while_others_pass_is_sent_by_itself():
    """Once may be the end of an outage; twice is proof, and from then on it spoils no request."""
    suspects = Suspects(most=10, width=1).failed([7]).passed([8])
    assert not suspects.proven(7)
    assert suspects.arrange([7, 9], 10) == ([[7, 9]], [])
    suspects = suspects.failed([7, 9]).failed([7]).passed([9])
    assert suspects.proven(7)
    assert suspects.arrange([7, 10, 11], 10) == ([[10, 11], [7]], [])


def test_an_outage_proves_nothing():
    """Events that failed alone in one long outage go together with the others after it."""
    suspects = Suspects(most=100, width=1)
    for one in range(60):
        suspects = suspects.failed([one])
    suspects = suspects.passed([99])
    assert not any(suspects.proven(one) for one in range(60))


def test_what_is_accepted_is_forgotten():
    """An event that BigPanda took in the end leaves no trace."""
    suspects = Suspects(most=10, width=1).failed([7]).passed([8]).passed([7])
    assert suspects.strikes == {}


def test_an_outage_blames_no_event():
    """What looks like an outage narrows the next request, and the most urgent event stays the first to be tried."""
    suspects = Suspects(most=10, width=4).failed([7, 8], blamed=False).failed([7], blamed=False)
    assert suspects.width == 1
    assert suspects.arrange([7, 8], 1) == ([[7]], [8])
