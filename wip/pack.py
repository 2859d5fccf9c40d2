"""Keep the trainings' newest states in wip/scratch, in half precision and without the optimiser's moments."""
import torch,glob,os
from pathlib import Path
S=Path('../.dvc/likeness/scratch'); W=Path('../wip/scratch')
def newest(n): return sorted(S.glob(n+'/*/state.pt'),key=os.path.getmtime)[-1]
def half(v): return {k:(t.half() if t.is_floating_point() else t) for k,t in v.items()}
# the plain DVAE's state is not needed once the coded one is done, but fit() asks for it first
for n in ('xtts_mini_plain','xtts_mini_dvae','xtts_mini_gpt'):
    p=newest(n); s=torch.load(p,weights_only=False)
    o=s['optimizer']; s['optimizer']={'state':{},'param_groups':o['param_groups']}
    for k,v in s.items():
        if k not in('optimizer','step','seconds'): s[k]=half(v)
    q=W/p.relative_to(S); q.parent.mkdir(parents=True,exist_ok=True); torch.save(s,q); print(q,q.stat().st_size/1e6,s['step'],round(s['seconds']))
