"""Every command of ``notifyx`` against a running platform: what it does, writes, and exits with."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from notifyx.cli.checks import CHECKS
from notifyx.cli.exits import Exit
from notifyx_local.ports import free_port
from support.command import Shell
from support.mail import link_in_mail
from support.patience import PATIENCE, until
from support.platform import PASSWORD, Platform, person

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("platform-2"),
]

TOPIC = """
apiVersion: notifyx.dev/v1alpha1
kind: NotifyxTopic
metadata: {{name: {name}, namespace: shop}}
spec: {{title: {title}, publishers: ["*"], retention: {{maxCount: 50}}}}
"""


@pytest.fixture
async def shell(platform: Platform, tmp_path: Path, request: pytest.FixtureRequest) -> Shell:
    """Somebody who is logged in, with a name of their own."""
    someone = Shell(platform.gateway, tmp_path)
    await someone.login(request.node.name.removeprefix("test_").replace("_", "-")[:40])
    return someone


async def test_login_and_logout(platform: Platform, tmp_path: Path) -> None:
    shell = Shell(platform.gateway, tmp_path)
    assert (await shell.run("inbox", code=Exit.NOT_LOGGED_IN)).err == (
        f"notifyx: You are not logged in at {platform.gateway}; log in first (notifyx login).\n"
    )
    signing_up = ("login", "--sign-up", "--email", "lola@example.com", "--name", "Lola", "--password-stdin")
    told = await shell.json(*signing_up, stdin=f"{PASSWORD}\n")
    assert (told["email"], told["name"], set(told)) == ("lola@example.com", "Lola", {"url", "id", "email", "name"})
    assert shell.token_file.stat().st_mode & 0o777 == 0o600
    taken = await shell.run(*signing_up, "-o", "json", stdin=f"{PASSWORD}\n", code=Exit.REFUSED)
    assert taken.error["code"] == "email_taken"
    wrong = await shell.run("login", "--email", "lola@example.com", "--password-stdin", stdin="x\n", code=None)
    assert wrong.code == Exit.NOT_LOGGED_IN
    assert "x" not in wrong.err.replace("password", "").split()
    first = json.loads(shell.token_file.read_text())["sessions"][platform.gateway]
    again = await shell.run("login", "--email", "lola@example.com", stdin=f"{PASSWORD}\n")
    assert again.out == f"Logged in at {platform.gateway} as lola@example.com.\n"
    second = json.loads(shell.token_file.read_text())["sessions"][platform.gateway]
    assert first["refresh_token"] not in again.out + again.err + shell.token_file.read_text()
    assert (await shell.json("logout"))["ended"]
    assert not (await shell.json("logout"))["ended"]
    await shell.run("topics", "list", code=Exit.NOT_LOGGED_IN)
    async with person(platform, "lola") as lola:  # neither session lives on
        for session in (first, second):
            form = {"grant_type": "refresh_token", "refresh_token": session["refresh_token"]}
            assert (await lola.call("POST", "/token", data=form, status=400))["code"] == "invalid_grant"


async def test_api_keys_and_the_environment(platform: Platform, tmp_path: Path) -> None:
    async with person(platform, "keeper") as keeper:
        key = (await keeper.call("POST", "/api-keys", json={"name": "cli", "scopes": ["read"]}))["key"]
    shell = Shell(platform.gateway, tmp_path)
    assert (await shell.json("login", "--api-key", stdin=f"{key}\n"))["email"] == "keeper@example.com"
    assert (await shell.json("status"))["user"]["email"] == "keeper@example.com"
    refused = await shell.run("topics", "create", "not.allowed", "-o", "json", code=Exit.REFUSED)
    assert refused.error["code"] == "missing_scope"
    await shell.run("logout")
    assert (await shell.json("status"))["user"] is None
    assert (await shell.json("status", NOTIFYX_API_KEY=key))["user"]["email"] == "keeper@example.com"
    assert (await shell.json("status", NOTIFYX_TOKEN=keeper.token))["user"]["email"] == "keeper@example.com"
    assert (await shell.json("login", "--api-key", NOTIFYX_API_KEY=key))["email"] == "keeper@example.com"
    assert (await shell.run("inbox", "-o", "json", NOTIFYX_TOKEN="nfx_a_b", code=3)).error["code"] == "invalid_api_key"
    for name, value, sentence in (
        ("NOTIFYX_API_KEY", "bad", "The API key is not valid"),
        ("NOTIFYX_API_KEY", "nfx_a_b", "The API key is not valid"),
        ("NOTIFYX_TOKEN", f"{keeper.token}x", "The access token is not valid."),
    ):  # fmt: skip
        for command in ("inbox", "doctor", "status"):
            said = await shell.run(command, code=Exit.NOT_LOGGED_IN, **{name: value})
            for part in (sentence, f"It is in {name}", "notifyx login"):
                assert part in " ".join((said.out + said.err).split()), (command, name, value)
    forged = await shell.run("login", "--api-key", stdin="nfx_a_secret\n", code=Exit.NOT_LOGGED_IN)
    assert "secret" not in forged.err + forged.out
    assert "It is in" not in forged.err


async def test_api_keys_are_made_and_deleted(shell: Shell) -> None:
    assert (await shell.run("api-keys", "list")).out == "You have no API keys.\n"
    made = await shell.json("api-keys", "create", "ci", "--topic", "cli.*", "--scope", "publish", "--days", "90")
    assert (made["topics"], made["scopes"]) == (["cli.*"], ["publish"])
    written = (await shell.run("api-keys", "create", "everything")).out
    key = written.split()[written.split().index("key") + 1]
    assert f"curl -H 'Authorization: Bearer {key}'" in written
    assert "/api/v1/topics/TOPIC/notifications" in written
    reader = (await shell.run("api-keys", "create", "reader", "--topic", "cli.a", "--scope", "read")).out
    assert "/notifications" not in reader
    assert (await shell.json("status", NOTIFYX_API_KEY=key))["user"]["email"]
    listed = (await shell.run("api-keys", "list")).out
    assert all(text in listed for text in (made["id"], "all", "never"))
    assert made["key"] not in listed
    deleted = Shell(shell.url, shell.home / "deleted")
    await deleted.run("login", "--api-key", stdin=f"{made['key']}\n")
    assert await shell.json("api-keys", "delete", made["id"]) == {"id": made["id"], "result": "deleted"}
    await shell.run("api-keys", "delete", made["id"], code=Exit.REFUSED)

    async def refused() -> bool:
        return (await deleted.run("inbox", code=None)).code == Exit.NOT_LOGGED_IN

    await until(refused, "the key is deleted at the gateway, too")
    told = [await deleted.run(command, code=Exit.NOT_LOGGED_IN) for command in ("inbox", "status")]
    assert told[0] == told[1]


async def test_an_account_changes_and_a_forgotten_password_is_set(
    shell: Shell, platform: Platform, tmp_path: Path
) -> None:
    user = await shell.json("account", "show")
    email = user["email"]
    assert f"{email} (not verified)" in (await shell.run("account", "show")).out
    assert (await shell.json("account", "set-name", "Ada Lovelace"))["name"] == "Ada Lovelace"
    assert (await shell.json("account", "show"))["name"] == "Ada Lovelace"
    sent = await shell.json("send", "me", "From whom?")
    assert (await shell.json("show", "user:me", str(sent["seq"])))["publisher"]["name"] == "Ada Lovelace"
    other = Shell(shell.url, tmp_path / "other")
    await other.run("login", "--email", email, "--password-stdin", stdin=f"{PASSWORD}\n")
    refused = await shell.run("account", "set-password", "-o", "json", stdin="wrong\na new password\n", code=1)
    assert refused.error["code"] == "wrong_password"
    await shell.run("account", "set-password", stdin=f"{PASSWORD}\n", code=Exit.USAGE)
    await shell.run("account", "set-password", stdin=f"{PASSWORD}\na second long one\n")
    await shell.run("account", "show")
    await other.run("account", "show", code=Exit.NOT_LOGGED_IN)
    refused = await shell.run("account", "set-email", f"new.{email}", "-o", "json", stdin="wrong\n", code=1)
    assert refused.error["code"] == "wrong_password"
    assert (await shell.json("account", "show"))["new_email"] is None
    assert not (await shell.json("account", "set-email", f"new.{email}", stdin="a second long one\n"))["changed"]
    assert (await shell.json("account", "show"))["new_email"]["email"] == f"new.{email}"
    shown = (await shell.run("account", "show")).out
    assert f"The new address new.{email} awaits its confirmation until 20" in shown
    assert (await shell.run("account", "cancel-email")).out.startswith(f"Your address stays {email}.")
    assert (await shell.json("account", "show"))["new_email"] is None
    assert (await shell.run("account", "cancel-email", code=Exit.REFUSED)).err.startswith("notifyx: No new address")
    await shell.run("reset-password", code=Exit.USAGE)
    assert "If there is an account" in (await shell.run("reset-password", "--email", "nobody@example.com")).out
    await shell.run("reset-password", "--email", email)
    link = await link_in_mail(platform, email, "Set a new password")
    ended = await shell.run("reset-password", "--link", stdin=f"{link}\na third long one\n")
    assert ended.out == "Your password is set. Log in with it: notifyx login.\n"
    await shell.run("account", "show", code=Exit.NOT_LOGGED_IN)
    refused = await shell.run("reset-password", "--link", stdin=f"{link}\n", code=Exit.REFUSED)
    assert "This link is not valid" in refused.err, "said before a password is asked for"
    await shell.run("login", "--email", email, "--password-stdin", stdin="a third long one\n")
    assert (await shell.json("account", "show"))["email_verified"]


async def test_sessions_are_listed_and_ended(shell: Shell, tmp_path: Path) -> None:
    elsewhere = [Shell(shell.url, tmp_path / name) for name in ("a", "b", "c")]
    for other in elsewhere:
        who = ("--email", "sessions-are-listed-and-ended@example.com", "--password-stdin")
        await other.run("login", *who, stdin=f"{PASSWORD}\n")
    listed = (await shell.json("sessions", "list"))["items"]
    assert [one["current"] for one in listed].count(True) == 1
    assert all(one["user_agent"].startswith("notifyx-client/") for one in listed)
    assert "this one" in (await shell.run("sessions", "list")).out
    [first] = [one for one in (await elsewhere[0].json("sessions", "list"))["items"] if one["current"]]
    await shell.run("sessions", "end", first["id"])
    await shell.run("sessions", "end", first["id"], code=Exit.REFUSED)
    await elsewhere[0].run("inbox", code=Exit.NOT_LOGGED_IN)
    await shell.run("sessions", "end", code=Exit.USAGE)
    assert await shell.json("sessions", "end", "--others") == {"ended": 2}
    await elsewhere[1].run("inbox", code=Exit.NOT_LOGGED_IN)
    await shell.run("inbox")


async def test_an_account_is_exported_and_deleted(shell: Shell, tmp_path: Path) -> None:
    await shell.run("topics", "create", "cli.leaving")
    await shell.run("publish", "cli.leaving", "ünique")
    file = tmp_path / "mine.json"
    assert await shell.json("account", "export", str(file)) == {"file": str(file)}
    assert file.stat().st_mode & 0o777 == 0o600
    export = json.loads(file.read_text())
    assert [one["body"] for one in export["published"]] == ["ünique"]
    assert json.loads((await shell.run("account", "export", "-")).out)["complete"]
    assert (await shell.json("account", "export", str(file), "--force"))["file"] == str(file)
    nowhere = await shell.run("account", "export", str(tmp_path / "none" / "x.json"), code=Exit.USAGE)
    assert "cannot be written" in nowhere.err
    await shell.run("account", "delete", "--yes", code=Exit.USAGE)
    unasked = await shell.run("account", "delete", "--topics", "keep", stdin="yes, my password\n", code=Exit.USAGE)
    assert unasked.err == "notifyx: Give --yes; there is no terminal to ask at.\n"
    deletion = ("account", "delete", "--topics", "delete", "--password-stdin", "--yes")
    assert "not the password" in (await shell.run(*deletion, stdin="wrong\n", code=Exit.REFUSED)).err
    assert (await shell.json(*deletion, stdin=f"{PASSWORD}\n"))["result"] == "deleted"
    await shell.run("inbox", code=Exit.NOT_LOGGED_IN)
    await shell.login("watcher")

    async def gone() -> bool:
        return (await shell.run("topics", "show", "cli.leaving", code=None)).code == Exit.REFUSED

    await until(gone, "the topic is deleted")


async def test_topics(shell: Shell, tmp_path: Path) -> None:
    made = await shell.json("topics", "create", "cli.made", "--title", "Made", "--publisher", "*", "--email", "unread")
    assert (made["name"], made["title"], made["publishers"]) == ("cli.made", "Made", ["*"])
    assert made["email"]["default"] == "unread"
    named = await shell.run("topics", "create", "cli.named", "--publisher", "nobody@example.com")
    assert named.out == "Created cli.named.\n"
    assert named.err == "An email address counts once its owner has signed up with it and verified it.\n"
    taken = await shell.run("topics", "create", "cli.made", "-o", "json", code=Exit.REFUSED)
    assert taken.error["code"] == "topic_exists"
    listed = await shell.json("topics", "list", "--containing", "cli.mad")
    assert [topic["name"] for topic in listed["items"]] == ["cli.made"]
    assert (await shell.run("topics", "list", "--containing", "cli.made")).out.split()[-2:] == ["0", "you"]
    assert (await shell.json("topics", "show", "cli.made"))["id"] == made["id"]
    assert "Made" in (await shell.run("topics", "show", "cli.made")).out
    assert (await shell.run("topics", "show", "cli.none", "-o", "json", code=1)).error["code"] == "topic_not_found"

    folder = tmp_path / "topics"
    folder.mkdir()
    (folder / "a.yaml").write_text(TOPIC.format(name="cli.made", title="Changed"))
    (folder / "b.yml").write_text(TOPIC.format(name="cli.new", title="New"))
    applied = await shell.json("topics", "apply", "-f", str(folder))
    assert [(one["topic"], one["result"]) for one in applied["items"]] == [
        ("cli.made", "changed"),
        ("cli.new", "created"),
    ]
    assert applied["items"][0]["fields"] == ["email", "retention", "title"]
    (folder / "b.yml").write_text(TOPIC.format(name="cli.new", title="New").replace('"*"', "nobody@example.com, '*'"))
    named = await shell.run("topics", "apply", "-f", str(folder))
    assert named.err == "An email address counts once its owner has signed up with it and verified it.\n"
    (folder / "b.yml").write_text(TOPIC.format(name="cli.new", title="New"))
    await shell.run("topics", "apply", "-f", str(folder))
    again = await shell.run("topics", "apply", "-f", str(folder))
    assert again.out == "cli.made unchanged\ncli.new unchanged\n"
    shown = await shell.json("topics", "show", "cli.new")
    assert (shown["title"], shown["retention"]["max_count"], shown["publishers"]) == ("New", 50, ["*"])
    assert shown["can_manage"]

    hook = await shell.json("hooks", "create", "cli.new", "github", "--name", "ci")
    assert hook["url"].endswith(f"/api/v1/topics/cli.new/hooks/github/{hook['secret']}")
    rotated = (await shell.run("hooks", "rotate", hook["id"])).out
    assert "signing secret  whsec_" in rotated
    assert hook["secret"] not in rotated
    own = "whsec_that-the-sender-made"
    rotated = (await shell.run("hooks", "rotate", hook["id"], NOTIFYX_SIGNING_SECRET=own)).out
    assert f"signing secret  {own}\n" in rotated
    listed = (await shell.run("hooks", "list", "cli.new")).out
    assert (hook["id"] in listed, "nfh_" in listed) == (True, False)
    row = (await shell.run("hooks", "list")).out.splitlines()[1]
    assert row.split()[:4] == [hook["id"], "cli.new", "github", "ci"]
    await shell.run("hooks", "delete", hook["id"])
    assert (await shell.run("hooks", "list")).out == "You have no webhook secrets.\n"
    await shell.run("hooks", "delete", hook["id"], code=Exit.REFUSED)

    part = TOPIC.format(name="deploys", title="Mine now") + "---" + TOPIC.format(name="cli.new", title="Newer")
    mixed = await shell.run("topics", "apply", "-f", "-", "-o", "json", stdin=part, code=Exit.INCOMPLETE)
    assert [one["result"] for one in mixed.data["items"]] == ["failed", "changed"]
    theirs = await shell.run(
        "topics", "apply", "-f", "-", stdin=TOPIC.format(name="billing", title="Mine"), code=Exit.REFUSED
    )
    assert theirs.out == "", "an error is said once"
    assert theirs.err.startswith("notifyx: You cannot create or change a topic with the name 'billing'")

    assert await shell.json("topics", "delete", "cli.new", "--yes") == {"topic": "cli.new", "result": "deleted"}
    await shell.run("topics", "delete", "cli.new", "--yes", code=Exit.REFUSED)


async def test_publishing(shell: Shell, tmp_path: Path) -> None:
    await shell.run("topics", "create", "cli.pub")
    first = await shell.json(
        "publish", "cli.pub", "text", "--title", "T", "--priority", "high", "--data", '{"n":1}', "--key", "k1"
    )
    assert (first["topic"], first["seq"]) == ("cli.pub", 1)
    twice = await shell.json(
        "publish", "cli.pub", "text", "--title", "T", "--priority", "high", "--data", '{"n":1}', "--key", "k1"
    )
    assert twice == first
    other = await shell.run("publish", "cli.pub", "other", "--key", "k1", "-o", "json", code=Exit.REFUSED)
    assert other.error["code"] == "idempotency_conflict"
    assert (await shell.run("publish", "cli.pub", stdin="from a pipe\n")).out == "Published to cli.pub as 2.\n"
    file = tmp_path / "body.txt"
    file.write_text("from a file")
    assert (await shell.json("publish", "cli.pub", "--file", str(file)))["seq"] == 3
    assert (await shell.json("publish", "cli.pub", "--title", "title alone"))["seq"] == 4
    await shell.run("topics", "create", "cli.body")
    for who, topic in ((("publish", "cli.body"), "cli.body"), (("send", "me"), "user:me")):
        for more in (("--title", "T"), ("--data", '{"n":1}'), ("--file", "-", "--title", "T")):
            await shell.run(*who, *more, stdin="beside it\n")
        assert [one["body"] for one in (await shell.json("history", topic))["items"]] == ["beside it\n"] * 3

    lines = "".join(f"line {n}\n" for n in range(450))
    done = await shell.run("publish", "cli.pub", "--lines", "--key", "run", stdin=lines)
    assert done.out == "Published 450 to cli.pub, seq 5 to 454.\n"
    repeated = await shell.run("publish", "cli.pub", "--lines", "--key", "run", "-o", "json", stdin=lines)
    assert [(one["line"], one["seq"]) for one in repeated.lines] == [(n, n + 4) for n in range(1, 451)]
    mixed = await shell.run(
        "publish", "cli.pub", "--lines", "-o", "json", stdin=f"good\n\n{'x' * 70_000}\nlast\n", code=Exit.INCOMPLETE
    )
    assert [(one["line"], "error" in one) for one in mixed.lines] == [(1, False), (3, True), (4, False)]

    nowhere = await shell.run("publish", "cli.none", "--lines", "-o", "json", stdin="a\nb\n", code=Exit.REFUSED)
    assert [one["error"]["code"] for one in nowhere.lines] == ["topic_not_found"] * 2


async def test_what_trickles_through_a_pipe_goes_as_it_comes(shell: Shell) -> None:
    await shell.run("topics", "create", "cli.pipe")
    process = await shell.start("publish", "cli.pipe", "--lines", "-o", "json")
    assert process.stdin is not None
    assert process.stdout is not None
    for n in range(1, 4):
        process.stdin.write(f"line {n}\n".encode())
        line = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
        assert json.loads(line)["seq"] == n, "answered before the next is written"
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), PATIENCE) == 0


async def test_status_and_doctor(platform: Platform, shell: Shell) -> None:
    told = await shell.json("status")
    assert (told["url"], told["config"]["socket_url"]) == (platform.gateway, platform.socket)
    assert (told["readiness"]["status"], told["user"]["email_verified"]) == ("ok", False)
    assert "not verified" in (await shell.run("status")).out
    checked = await shell.json("doctor")
    states = {check["check"]: check["state"] for check in checked["checks"]}
    assert states == {
        **dict.fromkeys(CHECKS, "ok"),
        "login": "warning",
    }
    assert checked["ok"]
    assert (await shell.json("inbox", "--unread"))["items"] == [], "what it sent is acknowledged"
    stranger = Shell(platform.gateway, shell.home / "stranger")
    unknown = await stranger.run("doctor", "-o", "json", code=Exit.NOT_LOGGED_IN)
    assert [check["check"] for check in unknown.data["checks"] if check["state"] == "failed"] == ["login"]
    assert "notifyx login" in unknown.data["checks"][-2]["advice"]
    behind = platform.gateway.replace("http", "ws")
    wrong = await shell.run("doctor", "-o", "json", NOTIFYX_SOCKET_URL=behind, code=Exit.UNREACHABLE)
    socket = next(check for check in wrong.data["checks"] if check["check"] == "socket")
    assert (socket["state"], "NOTIFYX_SOCKET_URL" in socket["advice"] or "proxy" in socket["advice"]) == (
        "failed",
        True,
    )


async def test_email_says_that_the_address_is_not_verified(shell: Shell) -> None:
    assert "your address is not verified" in (await shell.run("email")).out


async def test_doctor_says_what_is_wrong_with_an_address(platform: Platform, tmp_path: Path) -> None:
    async def first_failure(url: str) -> tuple[int, str]:
        done = await Shell(url, tmp_path).run("doctor", "-o", "json", code=None)
        (failed,) = [check for check in done.data["checks"] if check["state"] == "failed"]
        assert failed["advice"]
        return done.code, failed["check"]

    assert await first_failure("http://no-such-name.invalid:4000") == (Exit.UNREACHABLE, "name")
    assert await first_failure(f"http://127.0.0.1:{free_port()}") == (Exit.UNREACHABLE, "tcp")
    assert await first_failure(platform.gateway.replace("http", "https")) == (Exit.UNREACHABLE, "tls")
    assert await first_failure(platform.mailbox) == (Exit.UNREACHABLE, "health")


async def test_nobody_there(tmp_path: Path) -> None:
    shell = Shell(f"http://127.0.0.1:{free_port()}", tmp_path, {"NOTIFYX_PATIENCE": "0.5"})
    away = await shell.run("status", "-o", "json", code=Exit.UNREACHABLE)
    assert away.error["code"] == "unreachable"
    for arguments in (["publish", "t", "x"], ["subscribe", "t", "--follow"], ["login", "--api-key"]):
        await shell.run(*arguments, code=Exit.UNREACHABLE, NOTIFYX_API_KEY="nfx_a_b")
    (tmp_path / "notifyx").mkdir(exist_ok=True)
    shell.token_file.write_text("{}")
    shell.token_file.chmod(0o644)
    assert (await shell.run("topics", "list", "-o", "json", code=Exit.LOCAL)).error["code"] == "token_file"


async def test_help_completion_and_commands_of_other_packages(tmp_path: Path) -> None:
    shell = Shell("http://127.0.0.1:1", tmp_path)
    assert "Run the whole platform on this machine" in (await shell.run("up", "--help")).out
    completed = await shell.run(_NOTIFYX_COMPLETE="complete_bash", COMP_WORDS="notifyx topics ", COMP_CWORD="2")
    assert set(completed.out.split()) == {"list", "show", "create", "apply", "delete"}
