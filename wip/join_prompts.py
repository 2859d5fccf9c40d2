"""Debian's Asterisk prompts of 4+ words joined into 6 long FLACs with script.jsonl: join.py OUT"""
import gzip,re,subprocess,sys,tempfile,json,random
from pathlib import Path
import numpy as np, soundfile, soxr
from faster_whisper import decode_audio
out=Path(sys.argv[1]); out.mkdir(parents=True,exist_ok=True)
d=Path(tempfile.mkdtemp())
subprocess.run(["apt-get","download","asterisk-core-sounds-en-g722","asterisk-core-sounds-en"],cwd=d,check=True,capture_output=True)
for p in d.glob("*.deb"): subprocess.run(["dpkg","-x",str(p),str(d)],check=True)
T={}
for line in gzip.open(next(d.rglob("core-sounds-en.txt.gz")),"rt"):
    n,_,t=line.strip().partition(": ")
    if len(t.split())>=4 and not re.search(r"[\[\]]",t): T[n]=t
S=next(d.rglob("vm-intro.g722")).parent
names=[n for n in sorted(T) if (S/f"{n}.g722").is_file()]
random.Random(0).shuffle(names)
rows=[]; rng=np.random.default_rng(0)
per=-(-len(names)//6)
for k in range(6):
    parts=[];at=0.0
    for n in names[k*per:(k+1)*per]:
        w=decode_audio(str(S/f"{n}.g722"))
        gap=rng.uniform(.4,1.6); parts+= [np.zeros(round(gap*16000),np.float32),w]
        rows.append(dict(file=f"prompts_{k+1}.flac",start=round(at+gap,3),end=round(at+gap+len(w)/16000,3),text=T[n])); at+=gap+len(w)/16000
    x=np.concatenate(parts); x=x+np.random.default_rng(k).normal(size=len(x))*10**(-70/20)
    soundfile.write(out/f"prompts_{k+1}.flac",x.astype(np.float32),16000)
(out/"script.jsonl").write_text("".join(json.dumps(r)+"\n" for r in rows))
print(len(names),"prompts",sum(r["end"]-r["start"] for r in rows)/60,"minutes")
