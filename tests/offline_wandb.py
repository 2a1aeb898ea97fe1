"""What W&B's own files of offline runs hold."""

import json
import struct

import wandb
from wandb.proto import wandb_internal_pb2


def read_records(file):
    """The records of a `.wandb` file: LevelDB's log format behind a header of 7 bytes."""
    data = file.read_bytes()
    assert data[:4] == b":W&B"
    records, pending, position = [], b"", 7
    while position + 7 <= len(data):
        if 32768 - position % 32768 < 7:  # no header fits into the rest of a block
            position += 32768 - position % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        pending += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, last; 2 and 3 are first and middle parts
            record = wandb_internal_pb2.Record()
            record.ParseFromString(pending)
            records.append(record)
            pending = b""
    return records


def offline_runs(workdir):
    """What each offline run left: (run, config, history rows, summary, artifacts)."""
    wandb.teardown()  # its service has written everything when it ends
    runs = []
    for file in sorted(workdir.glob("wandb/offline-run-*/*.wandb")):
        records = read_records(file)
        run = next(r.run for r in records if r.HasField("run"))
        config = {item.key: json.loads(item.value_json) for item in run.config.update}
        rows, summary = [], {}
        for record in records:
            if record.HasField("history"):
                rows.append(as_dict(record.history.item))
            if record.HasField("summary"):
                summary |= as_dict(record.summary.update)
        artifacts = [record.artifact for record in records if record.HasField("artifact")]
        runs.append((run, config, rows, summary, artifacts))
    return runs


def as_dict(items):
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
