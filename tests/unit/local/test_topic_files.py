from pathlib import Path

import pytest

from notifyx_local.topics import InvalidTopicFile, read_folder

HEAD = "apiVersion: notifyx.dev/v1alpha1\nkind: NotifyxTopic\n"


def test_the_examples_are_valid() -> None:
    found = {resource.name for resource in read_folder(Path(__file__).parents[3] / "examples/topics")}
    assert {"deploys", "alerts", "orders", "billing"} <= found


def test_several_documents_and_empty_ones(tmp_path: Path) -> None:
    text = f"---\n{HEAD}metadata: {{name: a}}\n---\n---\n{HEAD}metadata: {{name: b}}\n"
    (tmp_path / "t.yaml").write_text(text)
    (tmp_path / "notes.txt").write_text("not: [yaml")
    resources = read_folder(tmp_path)
    assert [resource.reference for resource in resources] == ["default/a", "default/b"]
    assert resources == read_folder(tmp_path), "the same name keeps the same uid"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1,\n b: }", "line 2"),
        ("- just\n- a list\n", "document 1"),
        (HEAD + "metadata: {name: a}\nspec: {owner: me}\n", "spec.owner"),
        (HEAD + "metadata: {name: A}\n", "metadata.name"),
        ("kind: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
    ],
)
def test_a_broken_file_is_named_with_the_place(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    with pytest.raises(InvalidTopicFile) as caught:
        read_folder(tmp_path)
    assert str(file) in caught.value.reason
    assert words in caught.value.reason
    assert "\n" not in caught.value.reason


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidTopicFile, match="--topics"):
        read_folder(tmp_path / "nowhere")
