"""Example of a training script: the publishing part of every rank."""  # noqa: INP001  # a script, in no package

import os

from sanctum_bus import Publisher

RANK = int(os.environ["SLURM_PROCID"])
EPOCHS = 3


def main() -> None:
    """Publish the epochs of this rank's environment.

    If your training emits TRAINING_STARTED, emit it only in rank 0, and let the other ranks wait at a barrier. The event
    starts the run and clears the earlier state.
    """
    # Node and rank are the readable part of the producer name. A requeued job is a new producer.
    producer = f"{os.environ.get('SLURMD_NODENAME', 'node')}-rank{RANK}"
    with Publisher(
        os.environ["RUN_ID"], producer=producer, labels={"job": os.environ["SLURM_JOB_ID"]}
    ) as hub:
        for epoch in range(1, EPOCHS + 1):
            data = {"env_id": RANK, "val_accuracy": 100 * epoch / EPOCHS, "val_loss": 1 / epoch}
            hub.emit({"event_type": "EPOCH_COMPLETED", "epoch": epoch, "data": data})


if __name__ == "__main__":
    main()
