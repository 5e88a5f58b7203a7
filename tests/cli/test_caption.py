from __future__ import annotations

import json


def test_every_photo_of_a_folder_gets_a_line_in_order(linmap, model_dir, photos):
    ran = linmap("caption", photos, "--model", model_dir)
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert [line.split(":")[0] for line in lines] == [str(photos / name) for name in ("a.jpg", "b.png", "c.jpg")]


def test_json_is_one_object_a_line_and_nothing_else(linmap, model_dir, photos):
    ran = linmap("caption", photos, "--model", model_dir, "--json")
    records = [json.loads(line) for line in ran.out.splitlines()]
    assert [set(record) for record in records] == [{"image", "caption"}] * 3
