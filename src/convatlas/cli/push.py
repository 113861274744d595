"""`convatlas push`: hand a trained network on."""

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("target")
@click.option("--license", "licence", help="Of the weights, such as apache-2.0.")
@click.option("--private", is_flag=True, help="Of a repository: nobody else sees it.")
@click.option("--overwrite", is_flag=True, help="Replace what a former push left in the folder.")
def command(run: Path, target: str, licence: str | None, private: bool, overwrite: bool) -> None:
    """Write the network of the folder RUN to TARGET: card, config and weights.

    TARGET is a folder in the layout of model hubs, or hf:USER/NAME, a repository of the hub of
    Hugging Face. Wherever a verb takes a MODEL it takes the one as well as the other.

    Example: convatlas push runs/demo shared/lenet5-digits --license apache-2.0
    """
    from convatlas.report.push import push

    where = push(run, target, licence=licence, private=private, overwrite=overwrite)
    click.echo(f"pushed {run} to {where}")
