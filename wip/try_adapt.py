"""Tune a DVAE to the sample voice: python try_adapt.py STATE all|dec STEPS, from models/. Uses try_dvae.py's parts."""
import sys
src=open('../wip/try_dvae.py').read()
a=src.index("mels=[sp(xm"); a=src.index("with torch.inference_mode():\n    mels="); b=src.index("torch.manual_seed(1); dvae")
c=src.index("from likeness.voice.codes import griffin_lim"); d=src.index("rows=[json")
pre=src[:a].replace("PL,ST,H,D,K,AUG=[int(x) for x in sys.argv[1:7]]","STATE,MODE,ST=sys.argv[1],sys.argv[2],int(sys.argv[3]); H,D,K=192,256,2048")
exec(pre)
st=torch.load(STATE,weights_only=False); st=st.get('dvae',st); st={k:v.float() if v.is_floating_point() else v for k,v in st.items()}
dvae=xtts_nets.build_dvae(H,D); dvae.load_state_dict(st)
exec(src[c:d].replace("'    ',R[0]","'    ',R[1]").replace("Hh[0]","Hh[1]"))
rows=[json.loads(l) for l in open('../data/raw/sample_voice/script.jsonl')]
import av
def audio(f):
    con=av.open('../data/raw/sample_voice/'+f); s=con.streams.audio[0]; r=av.AudioResampler(format='flt',layout='mono',rate=22050)
    o=[g.to_ndarray()[0] for fr in con.decode(s) for g in r.resample(fr)]+[g.to_ndarray()[0] for g in r.resample(None)]
    return np.concatenate(o).astype(np.float32)
A={}
def clip(r):
    if r['file'] not in A: A[r['file']]=audio(r['file'])
    return A[r['file']][int(r['start']*22050):int(r['end']*22050)]
clean=[r for r in rows if not r['flaw']]
te=[r for r in clean if r['file'].startswith('01')][:20]; tr=[r for r in clean if not r['file'].startswith('01') and not r['file'].startswith('06')]
G=lambda x:x*(0.06/np.sqrt((x**2).mean()))
with torch.inference_mode(): M=torch.cat([(sp(torch.from_numpy(G(clip(r)))[None])[0,:,:-1]/ms[:,None]).clone() for r in tr],1)
print(len(tr),'train clips',M.shape[1]*256/22050/60,'min',flush=True)
items=[(r['text'],G(clip(r))) for r in te]
dvae.eval(); go('joe before',items,('codes',))
ps=list(dvae.decoder.parameters()) if MODE=='dec' else list(dvae.parameters())
dvae.train(); opt=torch.optim.AdamW(ps,lr=5e-4,weight_decay=0.); t=time.time(); mean=0
for s in range(ST):
    rng=np.random.default_rng([5,s]); x=torch.stack([M[:,k:k+128] for k in rng.integers(M.shape[1]-128,size=24)])
    for g in opt.param_groups: g['lr']=5e-4*schedule(s,ST)
    with torch.autocast('cpu',torch.bfloat16): v=dvae.encoder(x)
    dvae.codebook.train(MODE!='dec')
    v,_,c=dvae.codebook(v.float().transpose(1,2)); v=v.transpose(1,2)
    with torch.autocast('cpu',torch.bfloat16): y=dvae.decoder(v)
    l=F.mse_loss(y.float(),x); L=l+(.25*c if MODE!='dec' else 0)
    opt.zero_grad(); L.backward(); torch.nn.utils.clip_grad_norm_(ps,1.); opt.step(); mean+=(l.item()-mean)/min(s+1,50)
    if s%100==99: print(s+1,round(mean,4),round(time.time()-t),flush=True)
dvae.eval(); go('joe after '+MODE,items,('codes',))
