"""`convatlas fetch`: bring published weights here before they are needed."""

import click


@click.command()
@click.argument("network")
@click.argument("weights", required=False)
def command(network: str, weights: str | None) -> None:
    """Download weights that are published for a network, check and convert them.

    WEIGHTS is a name that `convatlas list --weights` shows; without it, the first of the network.
    They are kept in CONVATLAS_CACHE (~/.cache/convatlas); a download that was cut off goes on.

    Example: convatlas fetch resnet50_v1_5 torchvision_v2
    """
    from convatlas.cli.progress import show_batches
    from convatlas.weights.published import fetch, find_published, place

    entry = find_published(network, weights)
    if not place(entry).is_file():
        click.echo(f"{entry.network}: {entry.urls[0]}, {entry.megabytes:,.1f} MB", err=True)
    with show_batches(f"{network} {entry.name}", "byte") as progress:
        path = fetch(entry, lambda _name, done, total: progress(done, total or done))
    click.echo(
        f"{path}: {entry.top1_accuracy:.2f} % top-1 on {entry.data} as published; {entry.licence}"
    )
