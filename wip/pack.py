import torch,glob,os,sys
from pathlib import Path
S=Path('../.dvc/likeness/scratch'); W=Path('../wip/scratch')
def newest(n): return sorted(S.glob(n+'/*/state.pt'),key=os.path.getmtime)[-1]
def half(v): return {k:(t.half() if t.is_floating_point() else t) for k,t in v.items()}
# the plain DVAE's state is not needed once the coded one is done, but fit() asks for it first
for n,finished in (('xtts_mini_plain',1),('xtts_mini_dvae',1),('xtts_mini_gpt',1),('xtts_mini_speaker',1),('xtts_mini_decoder',0)):
    try: p=newest(n)
    except IndexError: print('none',n); continue
    s=torch.load(p,weights_only=False)
    if finished:
        o=s['optimizer']; s['optimizer']={'state':{},'param_groups':o['param_groups']}
        for k,v in s.items():
            if k not in('optimizer','step','seconds'): s[k]=half(v)
    q=W/p.relative_to(S); q.parent.mkdir(parents=True,exist_ok=True); torch.save(s,q); print(q,q.stat().st_size/1e6,s['step'],round(s['seconds']))
