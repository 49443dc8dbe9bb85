"""Drives the real LiteLLM SDK with its own mock responses and writes what its logger hands out, a JSON object a line.

Run as a program: ``python litellm_client.py LOGS ACCOUNTS``. Ten accounts are run as one; thirty are unrelated.
"""

import contextlib
import csv
import json
import random
import sys
import time

import litellm
from litellm.integrations.custom_logger import CustomLogger

GROUP = [f"acct_g{number:02d}" for number in range(10)]
OTHERS = [f"acct_{number:02d}" for number in range(30)]

NOUNS = [
    "bridge",
    "river",
    "museum",
    "kettle",
    "violin",
    "garden",
    "engine",
    "letter",
    "winter",
    "market",
    "forest",
    "mirror",
    "candle",
    "harbour",
]
VERBS = [
    "repair",
    "paint",
    "describe",
    "compare",
    "translate",
    "measure",
    "sell",
    "remember",
    "clean",
    "design",
    "move",
    "borrow",
]
OPENINGS = (
    "how do I {verb} a {noun} without tools",
    "{noun} or {other}: which would you {verb} first, and why?",
    "Write a short poem in which someone tries to {verb} the {noun}",
    "my boss wants me to {verb} our {noun} before friday. draft a polite refusal",
    "What does it cost to {verb} one {noun} in {city}",
    "Give me ten titles for a talk on the {noun} and the {other}.",
    "def {verb}_{noun}(x): pass  # finish this for {other}",
)
CITIES = ["Lisbon", "Nairobi", "Osaka", "Quito", "Tartu", "Leeds"]
TASK = (
    "You are given one problem and must show all of your work.\n\nProblem: {problem}\n\n"
    "First restate the problem. Then reason in numbered steps, checking every step twice. "
    "Finish with the result alone inside <result></result> tags."
)


class Writer(CustomLogger):
    """Keeps every StandardLoggingPayload, of successes and of failures."""

    def __init__(self) -> None:
        super().__init__()
        self.payloads: list[dict[str, object]] = []

    def log_success_event(self, kwargs, response_obj, start_time, end_time) -> None:
        self.payloads.append(kwargs["standard_logging_object"])

    def log_failure_event(self, kwargs, response_obj, start_time, end_time) -> None:
        self.payloads.append(kwargs["standard_logging_object"])


def call(account: str, prompt: str, *, answer: object, ip: str, temperature: float) -> None:
    with contextlib.suppress(litellm.RateLimitError):
        litellm.completion(
            model="gpt-4o",
            messages=[{"role": "user", "content": prompt}],
            mock_response=answer,
            api_key="sk-not-a-real-key",
            temperature=temperature,
            metadata={
                "user_api_key_hash": f"hash-of-key-of-{account}",
                "user_api_key_user_id": account,
                "user_api_key_org_id": f"org-of-{account}",
                "requester_ip_address": ip,
            },
        )


def group_call(draw: random.Random, number: int, turn: int) -> None:
    a, b, noun = draw.randrange(10, 99), draw.randrange(10, 99), draw.choice(NOUNS)
    problem = f"A {noun} costs {a} coins and every {draw.choice(NOUNS)} costs {b}; what do {turn + 2} of each cost?"
    limited = number == 3 and turn == 5
    answer: object = "step by step " * 150
    if limited:
        answer = litellm.RateLimitError("slow down", "openai", "gpt-4o")
    ip = f"198.51.100.{10 + (number + turn) % 3}"
    call(GROUP[number], TASK.format(problem=problem), answer=answer, ip=ip, temperature=0.0)


def other_call(draw: random.Random, number: int) -> None:
    noun, other = draw.sample(NOUNS, 2)
    form = OPENINGS[(number + draw.randrange(2)) % len(OPENINGS)]
    prompt = form.format(verb=draw.choice(VERBS), noun=noun, other=other, city=draw.choice(CITIES))
    ip = f"203.0.113.{number // 3}" if number < 6 else f"192.0.{number}.{draw.randrange(1, 4)}"
    call(OTHERS[number], prompt, answer="words " * draw.randrange(5, 80), ip=ip, temperature=1.0)


def write_accounts(path: str) -> None:
    with open(path, "w", newline="") as file:  # noqa: PTH123
        rows = csv.writer(file)
        rows.writerow(
            ["account_id", "organization_id", "created_at", "email_domain", "payment_method", "country", "plan"]
        )
        for number, account in enumerate(GROUP):
            created = f"2026-01-10T08:{number * 4:02d}:00Z"
            rows.writerow(
                [account, f"org-of-{account}", created, "posteo.example", f"card_g{number // 5}", "NL", "payg"]
            )
        for number, account in enumerate(OTHERS):
            created = f"2025-{1 + number % 12:02d}-{1 + number % 27:02d}T{number % 24:02d}:00:00Z"
            domain = f"mail{number % 9}.example"
            rows.writerow([account, f"org-of-{account}", created, domain, f"card_{number}", "US", "payg"])


def main() -> None:
    logs, accounts = sys.argv[1:]
    writer = Writer()
    litellm.callbacks = [writer]
    draw = random.Random(11)
    plan = [("group", number, turn) for number in range(len(GROUP)) for turn in range(12)]
    plan += [("other", number, turn) for number in range(len(OTHERS)) for turn in range(4)]
    draw.shuffle(plan)
    for kind, number, turn in plan:
        if kind == "group":
            group_call(draw, number, turn)
        else:
            other_call(draw, number)
    deadline = time.monotonic() + 60
    while len(writer.payloads) < len(plan) and time.monotonic() < deadline:
        time.sleep(0.1)  # the SDK logs on a thread of its own
    with open(logs, "w") as file:  # noqa: PTH123
        file.writelines(json.dumps(payload, default=str) + "\n" for payload in writer.payloads)
    write_accounts(accounts)


if __name__ == "__main__":
    main()
