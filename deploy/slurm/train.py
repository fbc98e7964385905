"""A stand-in for a training script: what every rank of a job does to be seen."""  # noqa: INP001  # a script, in no package

import os

from sanctum_bus import Publisher

RANK = int(os.environ["SLURM_PROCID"])
EPOCHS = 3


def main() -> None:
    """Publish the epochs of this rank's environment.

    A training that has a TRAINING_STARTED lets rank 0 emit it, and the others wait for that at a barrier: it begins the
    run, and clears what was folded before it.
    """
    # Node and rank are the readable part of the name; a job that is put back into the queue is a new producer.
    producer = f"{os.environ.get('SLURMD_NODENAME', 'node')}-rank{RANK}"
    with Publisher(
        os.environ["RUN_ID"], producer=producer, labels={"job": os.environ["SLURM_JOB_ID"]}
    ) as hub:
        for epoch in range(1, EPOCHS + 1):
            data = {"env_id": RANK, "val_accuracy": 100 * epoch / EPOCHS, "val_loss": 1 / epoch}
            hub.emit({"event_type": "EPOCH_COMPLETED", "epoch": epoch, "data": data})


if __name__ == "__main__":
    main()
