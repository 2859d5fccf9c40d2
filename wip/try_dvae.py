"""A DVAE of several voices with warped bands, tilts and noise: PLAIN STEPS HIDDEN DIMENSIONS CODES AUGMENT, from models/."""
import sys; sys.path.insert(0,'../wip')
from stage import *
import torch, numpy as np, os, json, soundfile, soxr, jiwer, time
import torch.nn.functional as F
from fitting import schedule
torch.set_num_threads(2)
PL,ST,H,D,K,AUG=[int(x) for x in sys.argv[1:7]]
args,cfg,rt=prepare('../wip/o2')
xtts_nets.CODES=K
corpus=spoken.spoken(cfg.speech,rt); test=spoken.spoken(cfg.speech,rt,part=1)
ms=torch.load('../wip/codes.pt')[1]
sp=xm.mel_transform(1024,torch.ones(80))
by=[np.flatnonzero(corpus.voices==v) for v in range(6)]
rowsU=np.concatenate([by[0][:700],by[1][:400],by[2][:400]]+[b[:50] for b in by[3:]])
with torch.inference_mode():
    mels=[sp(xm.as_tensor(corpus.inputs[r])[None])[0,:,:-1].clone() for r in rowsU]  # raw logs
voice=corpus.voices[rowsU]; cat=[torch.cat([m for m,v in zip(mels,voice) if v==w],1) for w in range(6)]
P=np.array([.35,.13,.13,.13,.13,.13])
def sample(rng,B=24,W=128):
    out=[]
    for _ in range(B):
        c=cat[rng.choice(6,p=P)]; at=int(rng.integers(c.shape[1]-W)); m=c[:,at:at+W]
        if AUG and rng.random()<0.7:
            a=rng.uniform(.84,1.19); i=torch.arange(80)*a; i=i.clamp(max=78.999); lo=i.long(); f=(i-lo)[:,None]
            m=m[lo]*(1-f)+m[lo+1]*f
            m=m+rng.uniform(-1.5,1.5)+rng.uniform(-1.5,1.5)*torch.linspace(-1,1,80)[:,None]
            if rng.random()<.7:
                n=rng.uniform(-12,-4)+rng.uniform(-2,2)*torch.linspace(-1,1,80)[:,None]+torch.from_numpy(np.log(rng.chisquare(4,size=(80,W))/4)).float()
                m=torch.logaddexp(m,n)
            m=m.clamp(min=-11.52)
        out.append(m/ms[:,None])
    return torch.stack(out)
torch.manual_seed(1); dvae=xtts_nets.build_dvae(H,D).train()
opt=torch.optim.AdamW(dvae.parameters(),lr=6e-4,weight_decay=0.)
def loop(n,coded,name):
    t=time.time(); mean=0
    for s in range(n):
        rng=np.random.default_rng([5,coded,s]); x=sample(rng)
        for g in opt.param_groups: g['lr']=6e-4*schedule(s,n)
        with torch.autocast('cpu',torch.bfloat16): v=dvae.encoder(x)
        c=0.
        if coded: v,_,c=dvae.codebook(v.float().transpose(1,2)); v=v.transpose(1,2)
        with torch.autocast('cpu',torch.bfloat16): y=dvae.decoder(v)
        l=F.mse_loss(y.float(),x); L=l+.25*c
        opt.zero_grad(); L.backward(); torch.nn.utils.clip_grad_norm_(dvae.parameters(),1.); opt.step()
        mean+=(l.item()-mean)/min(s+1,100)
        if s%250==249: print(name,s+1,round(mean,4),round(time.time()-t),flush=True)
loop(PL,0,'plain')
with torch.inference_mode():
    vec=torch.cat([dvae.encoder(sample(np.random.default_rng([9,i]))).transpose(1,2).flatten(0,1) for i in range(60)]).clone()
    cen,cnt=xm.kmeans(vec,K)
b=dvae.codebook; b.embed.copy_(cen.T); b.cluster_size.copy_(cnt*24*32/len(vec)); b.embed_avg.copy_(b.embed*b.cluster_size)
loop(ST,1,'coded')
torch.save(dvae.state_dict(),f'../wip/o/dvx_{H}_{D}_{K}_{AUG}.pt'); dvae.eval()
from likeness.voice.codes import griffin_lim
from faster_whisper import WhisperModel
from whisper_normalizer.english import EnglishTextNormalizer
asr=WhisperModel('whisper_tiny_en',device='cpu',compute_type='int8',cpu_threads=2); N=EnglishTextNormalizer()
def go(name,items,modes=('codes','plain')):
    for mode in modes:
        R,Hh,E=[],[],[]
        for text,x in items:
            with torch.inference_mode():
                m=sp(torch.from_numpy(x)[None])[0,:,:-1]/ms[:,None]; m=m[:,:m.shape[1]//4*4]
                o=dvae.decode(dvae.get_codebook_indices(m[None]))[0][0] if mode=='codes' else dvae.decoder(dvae.encoder(m[None]))[0]
                E.append(F.mse_loss(o,m).item()); w=griffin_lim(o,ms).numpy()
            h=' '.join(s.text for s in asr.transcribe(soxr.resample(w,22050,16000),language='en',beam_size=5)[0])
            R.append(N(text));Hh.append(N(h))
        print('   ',R[0],'|',Hh[0]); print(name,mode,'WER',round(jiwer.wer(R,Hh),3),len(R),'mse',round(float(np.mean(E)),3),flush=True)
rows=[json.loads(l) for l in open('../data/raw/sample_voice/script.jsonl')]
x,rate=soundfile.read('../data/raw/sample_voice/01_collection.flac',dtype='float32')
own=[r for r in rows if r['file'].startswith('01')][:20]
go('joe',[(r['text'],soxr.resample(x[int(r['start']*rate):int(r['end']*rate)],rate,22050)) for r in own])
go('rms',[(test.texts[r],np.array(test.inputs[r]).astype(np.float32)/32768) for r in range(140) if test.voices[r]==0][:20],('codes',))
