import sys; sys.path.insert(0,'../wip')
N=int(sys.argv[1])
src=open('../wip/ev4.py').read().split("if n_wer:")[0].replace("n_wer=int","n_wer=0#")
exec(src)
import os
def newest(n): return max(glob.glob(f'../.dvc/likeness/scratch/{n}/*/state.pt'),key=os.path.getmtime)
d=xtts_nets.build_decoder(cfg)
sp_=torch.load(newest('xtts_mini_speaker'),weights_only=False)['both']
d.speaker_encoder.load_state_dict({k[8:]:v for k,v in sp_.items() if k.startswith('encoder.')})
ds=torch.load(newest('xtts_mini_decoder'),weights_only=False); print('decoder step',ds['step'])
d.waveform_decoder.load_state_dict(ds['decoder']); d.eval()
import jiwer,soxr
from faster_whisper import WhisperModel
from whisper_normalizer.english import EnglishTextNormalizer
emb=xm.embed_speakers(d.speaker_encoder,test,rt)
lat=xm.latents_of(gpt,tok,test,codes,ms,rt)
asr=WhisperModel('whisper_tiny_en',device='cpu',compute_type='int8',cpu_threads=2); NN=EnglishTextNormalizer()
R={'flite':[],'kokoro':[]};H={'flite':[],'kokoro':[]}
dist=xm.spectral_distance(); D=[]
for r in range(N):
    e=V[test.voices[r]].engine
    with torch.inference_mode(): w=d(lat[r][None].float(),g=emb[r][None])[0,0]
    meant=torch.from_numpy(np.pad(test.waves[r],(0,2*1024))).float()[:len(w)]/32768
    D.append(float(dist(w[None],meant[None])))
    h=' '.join(s.text for s in asr.transcribe(soxr.resample(w.numpy(),24000,16000),language='en',beam_size=5)[0])
    R[e].append(NN(test.texts[r]));H[e].append(NN(h))
    if r<12: print(V[test.voices[r]].name,'|',R[e][-1],'|',H[e][-1])
print('distance',np.mean(D)); 
for e in R: print('WER teacher-forced',e,jiwer.wer(R[e],H[e]),len(R[e]))
