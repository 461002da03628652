"""The summary of certificates on the status page."""

from exporter.collectors.certificate_observations import CertificateObservation, certificate_figures, observe
from exporter.collectors.contract import Certificate

DAY = 86400.0
NOW = 1_800_000_000.0


def seen(days, *, valid=True, reason=""):
    return observe(None, Certificate(NOW, NOW + days * DAY, valid, reason))


def test_problem_certificates_are_named():
    """Rejected, unreachable and about to expire; and the next one to expire, which is not a problem."""
    observations = [
        ("good", seen(14.1)),
        ("soon", seen(14)),
        ("bad", seen(40, valid=False, reason="name")),
        ("asks", seen(70, reason="client_certificate")),
        ("gone", CertificateObservation(NOW, "dns", None)),
    ]
    found = [(figure.text, figure.bad) for figure in certificate_figures(observations, NOW)]
    assert found == [
        ("1 certificate not accepted: bad (name)", True),
        ("1 certificate seen by a probe that failed: asks (client_certificate)", True),
        ("1 certificate not seen: gone (dns)", True),
        ("1 certificate expiring within 14 days: soon", True),
        ("first certificate to expire: soon, in 14 days", False),
    ]
    assert [figure.text for figure in certificate_figures([("late", seen(-1))], NOW)] == [
        "first certificate to expire: late, expired"
    ]
    assert list(certificate_figures([], NOW)) == []
