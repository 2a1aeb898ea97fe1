"""What the command line says beside the config."""

from dataclasses import dataclass

from mnist3.sweeps import Sweep


@dataclass(frozen=True)
class Arguments:
    """The flags of `launch.py` that are not part of an experiment's config.

    Attributes:
        workdir: folder of the run; None for a fresh one.
        data_dir: folder with the data; None for the environment's or a download.
        experiment: name of the config's file, without folder and ending.
        checkpoint: evaluate, predict, serve, export: `best`, `latest` or the number of an epoch.
        replicate: predict, serve, export and evaluate on other data, with a run of several seeds:
            `best`, a seed, or `ensemble`.
        images: predict: file, folder or glob of images to read; evaluate: a folder of pictures with
            a labels.csv to measure by.
        table: predict with a run on a table: CSV or Parquet file with the rows to predict.
        output: predict: the CSV file to write; audit: the JSON file, None for none; evaluate on
            other data: the folder for its files, None for that of the run; export: the folder;
            inspect: the folder, None for the workdir, or for none without one.
        lines: predict with strings: whether to read every line of a picture.
        save_views: predict: folder for a view of each picture, with what was found and seen.
        allow_pickle: predict, serve: whether to read the model of an older run, a pickle.
        formats: export: what to write the network as, see `mnist3.export.FORMATS`.
        port: serve: on which to listen; 0 for any that is free.
        host: serve: name or address to listen on.
        save_drawings: serve: folder where the page saves pictures with their numbers.
        profile: train: whether to say where the time of a network's training went.
        figures: which figures a run draws: `none`, `few` or `all`.
        figure_formats: of the figures; PNG is always one of them.
        sweep: sweep: what to search; None where nothing says it.
        trials: sweep: how many there are to be; None for what the sweep says.
        storage: sweep: the database that its workers share; None for a file of one worker.
        together: sweep: most trials that a worker trains in one program.
        given: the flags that give the config.
        on: evaluate: the experiment on whose data to measure, as its text.
        mode: name of the job.
        command: the command line that repeats this one.
    """

    workdir: str | None = None
    data_dir: str | None = None
    experiment: str = ""
    checkpoint: str = "best"
    replicate: str = "best"
    images: str | None = None
    table: str | None = None
    output: str | None = None
    lines: bool = False
    save_views: str | None = None
    allow_pickle: bool = False
    formats: tuple[str, ...] = ("stablehlo", "onnx", "html")
    port: int = 8000
    host: str = "127.0.0.1"
    save_drawings: str | None = None
    profile: bool = False
    figures: str = "all"
    figure_formats: tuple[str, ...] = ("png",)
    sweep: Sweep | None = None
    trials: int | None = None
    storage: str | None = None
    together: int = 8
    given: tuple[str, ...] = ()
    on: str | None = None
    mode: str = "train"
    command: str = "python launch.py"
