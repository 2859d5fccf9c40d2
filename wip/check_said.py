import sys; sys.path.insert(0,'../wip')
src=open('../wip/check_gpt.py').read().split("if n_wer:")[0]
exec(src)
import jiwer,soxr, torch.nn.functional as F, itertools
from likeness.voice.codes import griffin_lim
from faster_whisper import WhisperModel
from whisper_normalizer.english import EnglishTextNormalizer
gpt.init_gpt_for_inference(kv_cache=True); gpt.gpt_inference.eval()
asr=WhisperModel('whisper_tiny_en',device='cpu',compute_type='int8',cpu_threads=2); N=EnglishTextNormalizer()
fl=[r for r in rows if test.voices[r]==0][:n_wer]
def gen(temp):
  out=[]
  with torch.inference_mode():
    for r in fl:
        torch.manual_seed(r)
        g=gpt.generate(cond_latents=styles[0][None],text_inputs=ids[r][None],do_sample=True,top_p=.9,top_k=20,temperature=temp,num_return_sequences=1,num_beams=1,length_penalty=1.,repetition_penalty=1.,output_attentions=False)
        c=g[0][g[0]<2048].clone()
        s=F.pad(c,(0,1),value=2049)[None]
        l=gpt(ids[r][None],torch.tensor([len(ids[r])]),s,torch.tensor([s.shape[1]*1024]),cond_latents=styles[0][None],return_latent=True)
        out.append((c,l[0]))
  return out
def hear(name,f,G):
    R,H=[],[]
    for r,(c,l) in zip(fl,G):
        with torch.inference_mode(): w=griffin_lim(f(c,l),ms).numpy()
        h=' '.join(s.text for s in asr.transcribe(soxr.resample(w,22050,16000),language='en',beam_size=5)[0])
        R.append(N(test.texts[r]));H.append(N(h))
    for a,b in list(zip(R,H))[:4]: print('   ',a,'|',b)
    print(name,'WER',round(jiwer.wer(R,H),3),len(R),flush=True)
def sampled(c,l): return dvae.decode(c[None])[0][0]
def argm(c,l):
    k=gpt.mel_head(l).argmax(-1); k=k[k<2048]; return dvae.decode(k[None])[0][0]
G=gen(.3)
hear('T.3 sampled',sampled,G); hear('T.3 argmax',argm,G)
G=gen(.1); hear('T.1 sampled',sampled,G)
G=gen(.6); hear('T.6 argmax',argm,G)
