from bridge.delivery.poison_events import Isolation, Refusals


def test_requests_are_halved_while_they_fail_and_doubled_while_they_pass():
    """100 fails, 50 fails, 25 passes, then 50 go together again."""
    isolation = Isolation(most=100, width=100)
    isolation = isolation.failed(range(100))
    assert isolation.width == 50
    isolation = isolation.failed(range(50))
    assert isolation.width == 25
    isolation = isolation.passed(range(25))
    assert isolation.width == 50


def test_what_failed_alone_is_passed_over():
    """After an event failed by itself, another one is tried; when all have failed, it is their turn again."""
    isolation = Isolation(most=10, width=1).failed([7])
    assert isolation.wanted(1) == 2
    assert isolation.arrange([7, 8, 9], 1) == ([[8]], [7, 9])
    assert isolation.failed([8]).arrange([7, 8], 1) == ([[7]], [8])


def test_an_event_that_fails_while_others_pass_is_sent_by_itself():
    """Once may be the end of an outage; twice is proof, and from then on it spoils no request."""
    isolation = Isolation(most=10, width=1).failed([7]).passed([8])
    assert not isolation.is_poison(7)
    assert isolation.arrange([7, 9], 10) == ([[7, 9]], [])
    isolation = isolation.failed([7, 9]).failed([7]).passed([9])
    assert isolation.is_poison(7)
    assert isolation.arrange([7, 10, 11], 10) == ([[10, 11], [7]], [])


def test_an_outage_proves_nothing():
    """Events that failed alone in one long outage go together with the others after it."""
    isolation = Isolation(most=100, width=1)
    for one in range(60):
        isolation = isolation.failed([one])
    isolation = isolation.passed([99])
    assert not any(isolation.is_poison(one) for one in range(60))


def test_what_is_accepted_is_forgotten():
    """An event that BigPanda took in the end leaves no trace."""
    isolation = Isolation(most=10, width=1).failed([7]).passed([8]).passed([7])
    assert isolation.failures == {}


def test_an_outage_blames_no_event():
    """What looks like an outage narrows the next request, and the most urgent event stays the first to be tried."""
    isolation = Isolation(most=10, width=4).failed([7, 8], blamed=False).failed([7], blamed=False)
    assert isolation.width == 1
    assert isolation.arrange([7, 8], 1) == ([[7]], [8])


def test_one_refused_event_says_nothing_of_the_others():
    """Also one that is refused again and again: another key must be refused in the same words."""
    refusals = Refusals().refused(7, "a", "no host").refused(8, "a", "no host")
    assert not refusals.blame_destination(8, others=False)
    assert refusals.refused(9, "b", "no host").blame_destination(9, others=False)
    assert not refusals.refused(9, "b", "no status").blame_destination(9, others=False)


def test_the_same_words_with_other_particulars_are_the_same():
    """BigPanda may number the alerts of a request and quote what it refuses."""
    refusals = Refusals().refused(7, "a", "alert 1: 'x' is no app key").refused(8, "b", "alert 2: 'y' is no app key")
    assert refusals.blame_destination(8, others=False)


def test_while_others_may_be_accepted_the_event_is_blamed():
    """Until ten are refused alike: then the others need not be asked."""
    refusals = Refusals()
    for one in range(9):
        refusals = refusals.refused(one, f"k{one}", "no host")
        assert not refusals.blame_destination(one, others=True)
    assert refusals.refused(9, "k9", "no host").blame_destination(9, others=True)


def test_what_is_refused_while_others_are_accepted_is_to_blame_itself():
    """In the same request as what was accepted, or by itself before it; once accepted it is not blamed any more."""
    refusals = Refusals().split([1, 2, 3]).accepted([1]).refused(2, "b", "no host").refused(3, "c", "no host")
    assert not refusals.blame_destination(3, others=False)
    refusals = Refusals().refused(2, "b", "no host").accepted([9]).refused(2, "b", "no host").refused(3, "c", "no host")
    assert not refusals.blame_destination(3, others=False)
    assert refusals.accepted([2]).guilty == {3}
    assert refusals.settled(2).guilty == frozenset()


def test_words_that_were_for_bad_events_are_so_again():
    """One rule may make many of them; a hundred in a row, and nothing accepted, are the destination all the same."""
    refusals = Refusals().refused(1, "a", "no host").accepted([2])
    for one in range(10, 109):
        refusals = refusals.refused(one, f"k{one}", "no host")
        assert not refusals.blame_destination(one, others=False)
    assert refusals.refused(109, "k109", "no host").blame_destination(109, others=False)


def test_words_for_events_that_are_accepted_later_were_the_destinations():
    """After it was mended they count as before: the second one refused alike is enough."""
    refusals = Refusals().refused(1, "a", "no key").refused(2, "b", "no key").accepted([3]).accepted([1])
    assert refusals.refused(4, "d", "no key").refused(5, "e", "no key").blame_destination(5, others=False)


def test_a_probe_is_unlike_what_was_refused():
    """The last of all that may go, and nothing with it; what failed alone only when there is nothing else."""
    isolation = Isolation(most=10, width=1).failed([7])
    assert isolation.wanted(1, probe=True) == 10
    assert isolation.arrange([7, 8, 9], 5, probe=True) == ([[9]], [7, 8])
    assert isolation.arrange([7], 5, probe=True) == ([[7]], [])
    assert isolation.arrange([], 5, probe=True) == ([], [])
