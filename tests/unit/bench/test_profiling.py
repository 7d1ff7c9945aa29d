"""What `make bench ARGS="--profile FOLDER"` makes of the stacks that py-spy writes."""

from __future__ import annotations

import pytest

from bench.figures import OWN
from bench.profiling.rooms import EVENT_LOOP, IMPORTS, PYTHON, caller, room, samples
from bench.profiling.stacks import Frame, read
from bench.profiling.table import Profile, of_case, table

LIBRARIES = "/home/x/.venv/lib/python3.11/site-packages"
PYTHON_FOLDER = "/usr/lib/python3.11"
LIBC = "/usr/lib/x86_64-linux-gnu/libc.so.6"

FORK = Frame("run", "/x/services/local/src/notifyx_local/fork_server.py")
RUNNER = Frame("run", f"{PYTHON_FOLDER}/asyncio/runners.py")
LOOP = Frame("uv_run", f"{LIBRARIES}/uvloop/loop.cpython-311-x86_64-linux-gnu.so")
VIEW = Frame("publish", "/x/services/gateway/src/notifyx_gateway/rest/routes/publish.py")
SERVING = Frame("answer", "/x/services/common/src/notifyx_common/serving/direct.py")
VALIDATE = Frame("model_validate_json", f"{LIBRARIES}/pydantic/main.py")
COMPILED = Frame("0x7f00", f"{LIBRARIES}/pydantic_core/_pydantic_core.cpython-311-x86_64-linux-gnu.so")
WRITE = Frame("UVStream.write", f"{LIBRARIES}/uvloop/loop.cpython-311-x86_64-linux-gnu.so")
SEND = Frame("__libc_send", LIBC)
WAIT = Frame("epoll_pwait", LIBC)


def test_folded_stacks_are_read_whatever_the_names_of_their_functions_have() -> None:
    folded = "\n".join([
        f"main ({VIEW.file}:7);<listcomp> ({VIEW.file}:9) 3",
        f"main ({VIEW.file}:8);<listcomp> ({VIEW.file}:9) 2",
        f"main ({VIEW.file}:8);<[u8; 4] as Into<(A, B)>>::into (/x/lib.so) 1",
        "_find_spec (<frozen importlib._bootstrap>:3);nowhere 1",
    ])  # fmt: skip
    main = Frame("main", VIEW.file)
    assert read(folded) == {
        (main, Frame("<listcomp>", VIEW.file)): 5,
        (main, Frame("<[u8; 4] as Into<(A, B)>>::into", "/x/lib.so")): 1,
        (Frame("_find_spec", "<frozen importlib._bootstrap>"), Frame("nowhere", "")): 1,
    }
    assert read("") == {}


def test_a_line_without_a_number_is_left_out_as_its_names_were_read_while_they_changed() -> None:
    assert read("main (x.py:1)\n\na (Content\nlength.:3) 1\nmain (x.py:2) 1")[(Frame("main", "x.py"),)] == 1


@pytest.mark.parametrize(
    ("innermost", "itself", "cause"),
    [
        ((VIEW,), "gateway: rest", "gateway: rest"),
        ((VIEW, Frame("dumps", f"{PYTHON_FOLDER}/json/__init__.py")), "gateway: rest", "gateway: rest"),
        ((VIEW, Frame("__memcpy_avx_unaligned_erms", LIBC)), "gateway: rest", "gateway: rest"),
        ((VIEW, VALIDATE, COMPILED), "pydantic", "gateway: rest"),
        ((VIEW, SERVING, WRITE), EVENT_LOOP, "common: serving"),
        ((VIEW, SERVING, WRITE, SEND), "kernel: send", "common: serving"),
        ((VIEW, Frame("__GI___libc_write", LIBC)), "kernel: send", "gateway: rest"),
        ((VIEW, Frame("fstat64", LIBC)), "kernel: files", "gateway: rest"),
        ((Frame("call", f"{LIBRARIES}/notifyx_topics/names.py"),), "topics: names", "topics: names"),
        ((Frame("main", f"{LIBRARIES}/notifyx/__main__.py"),), "client: __main__", "client: __main__"),
        ((Frame("encode", f"{LIBRARIES}/orjson/orjson.so"),), "orjson", "orjson"),
        ((), EVENT_LOOP, EVENT_LOOP),
        ((WAIT,), "kernel: wait", "kernel: wait"),
    ],
)
def test_the_innermost_known_frame_is_the_place_and_the_innermost_of_the_platform_the_cause(
    innermost: tuple[Frame, ...], itself: str, cause: str
) -> None:
    stack = (FORK, RUNNER, LOOP, *innermost)
    assert (room(stack), caller(stack)) == (itself, cause)


def test_without_native_frames_the_runner_is_the_event_loop() -> None:
    assert room((FORK, RUNNER)) == caller((FORK, RUNNER)) == EVENT_LOOP


def test_an_import_belongs_to_the_import_system_and_is_caused_by_who_imports() -> None:
    find = Frame("_find_spec", "<frozen importlib._bootstrap>")
    library = Frame("<module>", f"{LIBRARIES}/aiohttp/__init__.py")
    assert (room((VIEW, find)), caller((VIEW, find))) == (IMPORTS, "gateway: rest")
    assert room((VIEW, find, library)) == "aiohttp"
    assert room((VIEW, find, library, find, Frame("<module>", f"{PYTHON_FOLDER}/ssl.py"))) == IMPORTS
    assert room((Frame("<module>", "<string>"),)) == PYTHON


def test_samples_are_added_up_by_place() -> None:
    stacks = read(f"a ({VIEW.file}:1) 2\nb ({VIEW.file}:2) 3\nc ({SERVING.file}:1) 1")
    assert samples(stacks, room) == {"gateway: rest": 5, "common: serving": 1}


def test_the_table_has_a_row_for_each_process_and_room_and_puts_small_ones_together() -> None:
    run = (FORK, RUNNER, LOOP)
    rare = Frame("x", f"{LIBRARIES}/y/z.so")
    gateway = Profile(0.002, ran=3.0, waited=1.0)
    gateway.stacks.update({(*run, VIEW): 60, (*run, VIEW, VALIDATE): 29, (*run, SERVING): 10, (*run, rare): 1})
    assert table({"postgres": Profile(0.0005), "gateway": gateway}, 100).splitlines() == [
        "| process | room | itself, % | µs | with what it calls, % | µs |",
        "|-|-|-|-|-|-|",
        "| **gateway** | 100 samples, 25 % of the time waiting for a processor | | 20 | | |",
        "| | gateway: rest | 60 | 12 | 89 | 18 |",
        "| | pydantic | 29 | 5.8 |  |  |",
        "| | common: serving | 10 | 2.0 | 10 | 2.0 |",
        "| | 1 others | 1 | 0.2 | 1 | 0.2 |",
        "| **postgres** | not sampled | | 5.0 | | |",
    ]
    assert table({"gateway": gateway}, None).splitlines()[3] == "| | gateway: rest | 60 |  | 89 |  |"


def test_the_table_of_a_case_has_the_client_and_is_of_an_operation_of_all_rounds() -> None:
    rounds = [{OWN: {"operations": 100.0, "cpu.client": 3.0}}, {}, {OWN: {"operations": 300.0, "cpu.client": 1.0}}]
    shown = of_case({"postgres": Profile(0.004)}, rounds).splitlines()[2:]
    assert shown == ["| **postgres** | not sampled | | 10 | | |", "| **client** | not sampled | | 1.5 | | |"]
    assert of_case({"store": Profile(1.0)}, [{OWN: {"growth": 1.0}}]).endswith("| **store** | not sampled | |  | | |")
    assert of_case({}, [{}]).startswith("Nothing was sampled")
