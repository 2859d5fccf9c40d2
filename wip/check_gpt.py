import sys; sys.path.insert(0,'../wip')
from stage import *
import torch, numpy as np, glob, os
torch.set_num_threads(2)
args,cfg,rt=prepare('../wip/o2')
n_wer=int(sys.argv[1]) if len(sys.argv)>1 else 0
test=spoken.spoken(cfg.speech,rt,part=1)
tok=xtts_nets.VoiceBpeTokenizer('../wip/o/vocab.json') if hasattr(xtts_nets,'VoiceBpeTokenizer') else None
from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer
tok=VoiceBpeTokenizer('../wip/o/vocab.json')
_,ms=torch.load('../wip/codes.pt')
st=torch.load(max(glob.glob('../.dvc/likeness/scratch/xtts_mini_dvae/*/*'),key=os.path.getmtime),weights_only=False)
dvae=xtts_nets.build_dvae(cfg.dvae.hidden,cfg.dvae.codebook); dvae.load_state_dict(st['dvae']); dvae.eval()
sp=xm.mel_transform(1024,torch.ones(80))
with torch.inference_mode():
    mels=[sp(xm.as_tensor(x)[None])[0,:,:-1]/ms[:,None] for x in test.inputs]
codes=xm.encode(dvae,mels,rt)
cp=max(glob.glob('../.dvc/likeness/scratch/xtts_mini_gpt/*/*'),key=os.path.getmtime)
st=torch.load(cp,weights_only=False); print(cp,st['step'],st['seconds'])
m=xtts_nets.build_xtts(cfg,tok); gpt=m.gpt; gpt.load_state_dict(st['gpt']); gpt.eval()
for b in gpt.gpt.h: b.mlp.act=torch.nn.GELU(approximate="tanh")
refs=xm.mel_transform(2048,ms)
V=cfg.speech.voices
def style(v):
    rows=np.flatnonzero(test.voices==v)
    with torch.inference_mode(): return gpt.get_style_emb(refs(xm.reference(rows[:3],test,6.0)[None])).transpose(1,2)
styles=torch.cat([style(v) for v in range(len(V))])
from likeness.common import io
rows=range(len(test.texts))
ids=[torch.tensor(tok.encode(t,'en')) for t in test.texts]
with torch.inference_mode():
    for v in range(len(V)):
        own=[r for r in rows if test.voices[r]==v][:12]
        def L(sh):
            k=[own[(i+sh)%len(own)] for i in range(len(own))]
            b=xm.Batch([ids[i] for i in k],[codes[i] for i in own],[codes[i] for i in own],[v]*len(own),[xm.word_numbers(ids[i],tok) for i in k],[xm.words_said([i],test,codes) for i in own])
            return [float(x) for x in xm.gpt_losses(gpt,b,styles)]
        a,s=L(0),L(1)
        print(V[v].name,'text %.2f code %.3f word %.3f | shuffled %.3f gap %.2f'%(*a,s[1],s[1]-a[1]),flush=True)
if n_wer:
    import jiwer,soxr
    from torchaudio.functional import melscale_fbanks
    from torchaudio.transforms import GriffinLim
    from faster_whisper import WhisperModel
    from whisper_normalizer.english import EnglishTextNormalizer
    bands=melscale_fbanks(513,0.,8000.,80,22050,norm="slaney"); inv=torch.linalg.pinv(bands.T); gl=GriffinLim(1024,hop_length=256,power=2,rand_init=False)
    gpt.init_gpt_for_inference(kv_cache=True); gpt.gpt_inference.eval()
    asr=WhisperModel('whisper_tiny_en',device='cpu',compute_type='int8',cpu_threads=2); N=EnglishTextNormalizer()
    R,H=[],[]
    fl=[r for r in rows if V[test.voices[r]].engine=='flite'] if 'all' not in sys.argv else list(rows)
    with torch.inference_mode():
        for r in fl[:n_wer]:
            torch.manual_seed(r)
            g=gpt.generate(cond_latents=styles[test.voices[r]][None],text_inputs=ids[r][None],do_sample=True,top_p=.9,top_k=20,temperature=.3,num_return_sequences=1,num_beams=1,length_penalty=1.,repetition_penalty=1.,output_attentions=False)
            c=g[0][g[0]<2048]
            mel=dvae.decode(c[None])[0][0]*ms[:,None]
            w=gl((inv@mel.exp()).clamp(min=1e-8)).numpy()
            h=' '.join(s.text for s in asr.transcribe(soxr.resample(w,22050,16000),language='en',beam_size=5)[0])
            R.append(N(test.texts[r]));H.append(N(h)); 
            if len(R)<=8: print(V[test.voices[r]].name,'|',R[-1],'|',H[-1],len(codes[r]),len(c))
    print('WER',jiwer.wer(R,H),len(R))
