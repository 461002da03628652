import pytest

from bridge.delivery.poison_events import Isolation, Refusals


def test_requests_are_halved_while_they_fail_and_doubled_while_they_pass():
    """100 fail, 50 fail, 25 pass, then 50 are sent together again."""
    isolation = Isolation(most=100, width=100)
    isolation = isolation.failed(range(100))
    assert isolation.width == 50
    isolation = isolation.failed(range(50))
    assert isolation.width == 25
    isolation = isolation.passed(range(25))
    assert isolation.width == 50
    assert isolation.passed([1]).width == 100  # few were due: that says nothing against more
    assert Isolation(most=100, width=1).passed(range(30)).width == 60  # claimed before a failure


def test_event_that_fails_twice_while_others_pass_is_isolated():
    """Once may be the end of an outage; after twice it is not sent with others."""
    isolation = Isolation(most=10, width=1).failed([7]).passed([8])
    assert not isolation.is_poison(7)
    isolation = isolation.failed([7, 9]).passed([8])
    assert not isolation.is_poison(7)
    isolation = isolation.failed([7]).passed([9])
    assert isolation.is_poison(7)


def test_outage_isolates_no_event():
    """Events that failed alone during a long outage are sent together with others after it."""
    isolation = Isolation(most=100, width=1)
    for one in range(60):
        isolation = isolation.failed([one])
    isolation = isolation.passed([99])
    assert not any(isolation.is_poison(one) for one in range(60))


def test_accepted_event_is_no_longer_suspected():
    """Its failures are forgotten."""
    isolation = Isolation(most=10, width=1).failed([7]).passed([8]).passed([7])
    assert isolation.failures == {}


def test_outage_only_shrinks_requests():
    """The most urgent event is still tried first."""
    isolation = Isolation(most=10, width=4).failed([7, 8], blamed=False).failed([7], blamed=False)
    assert (isolation.width, isolation.failed_alone) == (1, frozenset())


def test_one_rejected_event_is_no_rejected_destination():
    """Even if it is rejected repeatedly: another key must be rejected with the same message."""
    refusals = Refusals().refused(7, "a", "no host").refused(8, "a", "no host")
    assert not refusals.blame_destination(8, others=False)
    assert refusals.refused(9, "b", "no host").blame_destination(9, others=False)
    assert not refusals.refused(9, "b", "no status").blame_destination(9, others=False)


@pytest.mark.parametrize(
    "message",
    [
        "alert {}: '{}' is no app key",
        "no app key (request 4f9c{}1e7a-5efa-{}fbf-aa40-30dcab717d89)",
        "no app key [req_b{}d]",
    ],
)
def test_messages_are_compared_without_their_particulars(message):
    """BigPanda may number the alerts of a request, quote the rejected one, and name each request."""
    refusals = Refusals().refused(7, "a", message.format(1, "b2")).refused(8, "b", message.format(3, "4cd"))
    assert refusals.blame_destination(8, others=False)


def test_rejected_event_is_blamed_while_others_are_untried():
    """Until ten are rejected alike."""
    refusals = Refusals()
    for one in range(9):
        refusals = refusals.refused(one, f"k{one}", "no host")
        assert not refusals.blame_destination(one, others=True)
    assert refusals.refused(9, "k9", "no host").blame_destination(9, others=True)


def test_event_rejected_beside_accepted_ones_is_a_dead_letter():
    """In the same request, or alone before it; once accepted it is not blamed any more."""
    refusals = Refusals().split([1, 2, 3]).accepted([1]).refused(2, "b", "no host").refused(3, "c", "no host")
    assert not refusals.blame_destination(3, others=False)
    refusals = Refusals().refused(2, "b", "no host").accepted([9]).refused(2, "b", "no host").refused(3, "c", "no host")
    assert not refusals.blame_destination(3, others=False)
    assert refusals.accepted([2]).guilty == {3}
    assert refusals.settled([2]).guilty == frozenset()


def test_known_message_of_bad_events_stays_one():
    """One rule may make many; only a hundred in a row without an acceptance mean the destination."""
    refusals = Refusals().refused(1, "a", "no host").accepted([2])
    for one in range(10, 109):
        refusals = refusals.refused(one, f"k{one}", "no host")
        assert not refusals.blame_destination(one, others=False)
    assert refusals.refused(109, "k109", "no host").blame_destination(109, others=False)


def test_message_for_events_accepted_later_means_the_destination():
    """After a fix, the second equal rejection is enough again."""
    refusals = Refusals().refused(1, "a", "no key").refused(2, "b", "no key").accepted([3]).accepted([1])
    assert refusals.refused(4, "d", "no key").refused(5, "e", "no key").blame_destination(5, others=False)
