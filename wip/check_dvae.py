import sys; sys.path.insert(0,'../wip')
from stage import *
import torch, numpy as np, glob, os, json, soundfile, soxr, jiwer
torch.set_num_threads(2)
args,cfg,rt=prepare('../wip/o2')
test=spoken.spoken(cfg.speech,rt,part=1)
_,ms=torch.load('../wip/codes.pt')
st=torch.load(max(glob.glob('../.dvc/likeness/scratch/xtts_mini_dvae/*/*'),key=os.path.getmtime),weights_only=False); print(st['step'])
dvae=xtts_nets.build_dvae(cfg.dvae.hidden,cfg.dvae.codebook); dvae.load_state_dict(st['dvae']); dvae.eval()
sp=xm.mel_transform(1024,torch.ones(80))
from torchaudio.functional import melscale_fbanks
from torchaudio.transforms import GriffinLim
from faster_whisper import WhisperModel
from whisper_normalizer.english import EnglishTextNormalizer
bands=melscale_fbanks(513,0.,8000.,80,22050,norm="slaney"); inv=torch.linalg.pinv(bands.T); gl=GriffinLim(1024,hop_length=256,power=2,rand_init=False)
asr=WhisperModel('whisper_tiny_en',device='cpu',compute_type='int8',cpu_threads=2); N=EnglishTextNormalizer()
def go(name,items):
    for mode in ('mel','codes'):
        R,H=[],[]
        for text,x in items:
            with torch.inference_mode():
                m=sp(torch.from_numpy(x)[None])[0,:,:-1]/ms[:,None]
                m=m[:,:m.shape[1]//4*4]
                if mode=='codes': m=dvae.decode(dvae.get_codebook_indices(m[None]))[0][0]
                w=gl((inv@(m*ms[:,None]).exp()).clamp(min=1e-8)).numpy()
            h=' '.join(s.text for s in asr.transcribe(soxr.resample(w,22050,16000),language='en',beam_size=5)[0])
            R.append(N(text));H.append(N(h))
        print(name,mode,'WER',round(jiwer.wer(R,H),3),len(R),flush=True)
go('rms',[(test.texts[r],np.array(test.inputs[r]).astype(np.float32)/32768) for r in range(140) if test.voices[r]==0][:30])
go('slt,awb',[(test.texts[r],np.array(test.inputs[r]).astype(np.float32)/32768) for r in range(140) if test.voices[r] in(1,2)])
rows=[json.loads(l) for l in open('../data/raw/sample_voice/script.jsonl')]
print(list(rows[0]))
x,rate=soundfile.read('../data/raw/sample_voice/01_collection.flac',dtype='float32')
own=[r for r in rows if '01_coll' in str(r)][:20]
go('joe',[(r['text'],soxr.resample(x[int(r['start']*rate):int(r['end']*rate)]*2,rate,22050)) for r in own])
