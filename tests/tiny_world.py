"""The tiny world: 12 accounts and two days of requests, written out by hand."""

# account, organization, card, sign-up, mail domain: c1 to c4 are run as one; o1 and o2 share an office.
ACCOUNTS = """\
account_id,organization_id,created_at,email_domain,payment_method,country,plan
c1,org_1,2026-08-30T09:00:00Z,mail.example,card_x,DE,payg
c2,org_2,2026-08-30T09:04:00Z,mail.example,card_x,DE,payg
c3,org_3,2026-08-30T09:11:00Z,mail.example,card_y,DE,payg
c4,org_4,2026-08-30T09:15:00Z,mail.example,card_y,DE,payg
o1,org_5,2026-03-02T10:00:00Z,office.example,card_1,FR,team
o2,org_5,2026-05-20T10:00:00Z,office.example,card_1,FR,team
p1,org_6,2025-01-10T10:00:00Z,home.example,card_2,US,free
p2,org_7,2025-06-01T10:00:00Z,post.example,card_3,BR,free
p3,org_8,2025-11-20T10:00:00Z,web.example,card_4,JP,payg
p4,org_9,2026-02-14T10:00:00Z,net.example,card_5,IN,payg
p5,,2026-04-01T10:00:00Z,web.example,,GB,free
007,org_10,2026-07-07T10:00:00Z,agent.example,card_7,GB,payg
"""

IPS = {
    "c1": "198.51.100.7",
    "c2": "198.51.100.7",
    "c3": "198.51.100.9",
    "c4": "198.51.100.9",
    "o1": "192.0.2.20",
    "o2": "192.0.2.20",
    "p1": "203.0.113.1",
    "p2": "203.0.113.65",
    "p3": "2001:db8:1:2::9",
    "p4": "192.0.2.77",
    "p5": "203.0.113.200",
    "007": "203.0.113.7",
}

WORDS = ("river", "harbour", "granite", "lantern", "meadow", "copper", "thistle", "orchard")

FREE = (
    "What is a good name for a cat that likes {word}?",
    "my {word} broke yesterday, can it be repaired at home or not",
    "Translate to French: the {word} is behind the house",
    "write me a limerick about {word} please",
    "is {word} heavier than water? explain like I am five",
    "List three books in which a {word} matters",
    "Why does {word} smell after rain",
    "fix this: def {word}(x) return x",
)

TASK = (
    "You are a careful annotator. Reason step by step before you answer.\n\n"
    "Passage: the {word} stood near the {other} for {days} years and nobody asked why.\n\n"
    "Write every inference you make as a numbered list, then the final verdict in <verdict> tags."
)


def tiny_requests() -> list[dict[str, object]]:
    """Two days of requests: four a day of the linked accounts on one template, two a day of everybody else."""
    rows: list[dict[str, object]] = []
    for number, account in enumerate(IPS):
        is_linked = account.startswith("c")
        for day in (1, 2):
            for turn in range(4 if is_linked else 2):
                serial = len(rows)
                word, other = WORDS[(serial * 3 + number) % 8], WORDS[(serial + 5) % 8]
                form = TASK if is_linked else FREE[number % 8]
                rows.append(
                    {
                        "timestamp": f"2026-09-0{day}T{8 + turn * 3:02d}:{number:02d}:00.250Z",
                        "request_id": f"r{serial:03d}",
                        "account_id": account,
                        "api_key_id": f"key_{account}",
                        "ip": IPS[account],
                        "user_agent": "batch-client/0.3" if is_linked else f"app-{number}/1.0",
                        "model": "sonata-large" if is_linked else "sonata-small",
                        "endpoint": "/v1/chat/completions",
                        "prompt": form.format(word=word, other=other, days=serial + 2),
                        "input_tokens": 60 + serial,
                        "output_tokens": 900 + serial if is_linked else 80 + serial,
                        "status": 429 if serial == 5 else 200,
                        "latency_ms": 1200.5,
                    }
                )
    return rows
