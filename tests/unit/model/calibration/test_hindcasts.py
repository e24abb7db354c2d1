"""The outages that hindcasts simulate."""

from daycast.model.calibration.hindcasts import choose_outages


def test_a_third_of_the_simulated_failures_is_alone_a_third_shared_and_a_third_new_stations() -> None:
    outage, around = choose_outages(300)
    newest = outage[:, -3:].all(dim=1)
    assert newest.reshape(-1, 3).sum(dim=0).tolist() == [100, 100, 0]
    assert (around == outage)[1::3].all()
    assert not around[0::3].any()
    assert not around[2::3].any()
    assert (~outage[2::3]).sum(dim=1).min() >= 3
    assert (~outage[2::3]).sum(dim=1).max() < 24
    assert outage[:, -25:].sum(dim=1)[newest].max() <= 24
