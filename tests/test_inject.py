from pathlib import Path

import pandas as pd
import pytest
from world_reading import read_requests, read_table

from linkage.errors import UsageError, WorldError
from linkage.terms import DAY_MS
from linkage.worlds.inject import Host, inject, survey
from linkage.worlds.traffic import Client


def host_requests() -> pd.DataFrame:
    times = pd.date_range("2026-03-02T10:00Z", "2026-03-09T09:00Z", periods=300)
    return pd.DataFrame(
        {
            "timestamp": times,
            "account_id": [f"h{number % 60}" for number in range(300)],
            "model": ["big" if number % 3 else "small" for number in range(300)],
            "user_agent": ["their-client/1" if number % 4 else "other/2" for number in range(300)],
            "tls_fingerprint": ["t13d-a" if number % 4 else None for number in range(300)],
        }
    )


def test_a_survey_sees_days_models_and_clients() -> None:
    host = survey(host_requests())
    assert (host.accounts, host.requests, host.days) == (60, 300, 8)
    assert host.models == ("big", "small")
    assert host.clients == (Client("their-client/1", "t13d-a"), Client("other/2", None))
    assert host.start_ms % DAY_MS == 0


def test_a_survey_takes_text_times_and_does_without_the_rest() -> None:
    plain = host_requests()[["timestamp", "account_id"]]
    told = survey(plain.assign(timestamp=plain["timestamp"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")))
    assert told == survey(plain)
    assert told.models == told.clients == ()


def test_planted_campaigns_fit_the_host(tmp_path: Path) -> None:
    host = survey(host_requests())
    world = inject(tmp_path, host, scenarios=["E1", "E18"], seed=4)
    requests = read_requests(tmp_path)
    assert set(requests["model"]) <= {"big", "small"}
    assert set(requests["user_agent"]) <= {"their-client/1", "other/2"}
    assert requests["timestamp"].min() >= "2026-03-02"
    assert requests["timestamp"].max() < "2026-03-10"
    truth = read_table(world.truth)
    assert set(truth["campaign"]) == {"planted-E1-4", "planted-E18-4"}
    assert world.campaign_account_count == world.account_count == 48


@pytest.mark.parametrize("scenarios", [["HN-04"], ["none"], ["E99"]])
def test_only_campaigns_are_planted(tmp_path: Path, scenarios: list[str]) -> None:
    with pytest.raises(UsageError, match="E20"):
        inject(tmp_path, survey(host_requests()), scenarios=scenarios)


def test_hosts_that_say_too_little_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="account_id"):
        survey(host_requests().drop(columns="account_id"))
    with pytest.raises(WorldError, match="0 rows"):
        survey(host_requests().iloc[:0])
    with pytest.raises(WorldError, match="2 days"):
        inject(tmp_path, Host(accounts=10, requests=10, start_ms=0, days=1))
