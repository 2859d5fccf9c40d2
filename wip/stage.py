"""Run xtts_mini's trainings in order, as main does; the argument says how far."""
import sys; sys.path.insert(0,'.'); sys.path.insert(0,'../wip')
import settings
from settings import begin
import xtts_mini as xm, xtts_nets, spoken, time
from pathlib import Path
def prepare(out='../wip/o'):
    args,cfg,rt=begin('x',['--asr','whisper_tiny_en','--speaker','speaker_encoder','--out-dir',out],settings.XttsMini,"asr","speaker","out_dir")
    Path(out).mkdir(exist_ok=True)
    return args,cfg,rt
if __name__=="__main__":
    args,cfg,rt=prepare()
    t=time.time()
    def lap(w): print('LAP',w,round(time.time()-t),flush=True)
    corpus=spoken.spoken(cfg.speech,rt); lap('corpus')
    spoken.spoken(cfg.speech,rt,part=1); lap('test')
    tok=xtts_nets.build_tokenizer(cfg,Path('../wip/o/vocab.json')); lap('tok')
    import torch, os
    if not os.path.exists('../wip/codes.pt'):
        mels,ms=xm.log_mels(corpus,rt); lap('mels')
        dvae,_=xm.train_dvae(cfg,mels,rt); lap('dvae')
        codes=xm.encode(dvae,mels,rt); lap('encode')
        torch.save((codes,ms),'../wip/codes.pt'); del mels
    codes,ms=torch.load('../wip/codes.pt')
    if 'gpt' in sys.argv: gpt,_=xm.train_gpt(cfg,tok,corpus,codes,ms,rt); lap('gpt')
