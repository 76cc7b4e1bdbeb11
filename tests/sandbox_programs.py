"""Programs whose every run must be the same: they look at what differs between two processes.

`ext(name, x)` is a call of the host, `aext(name, x)` is one that is awaited. The last expression of
each is its output.
"""

from __future__ import annotations

import ast

PRELUDE = """from decimal import Decimal, ROUND_HALF_UP
from dataclasses import dataclass
_seen = []
@dataclass
class Line:
    price: int
    def total(self, n):
        return self.price * n
def twice(x):
    return x * 2
def money(text):
    return str(Decimal(text).quantize(Decimal('0.01'), rounding=ROUND_HALF_UP))
def count():
    _seen.append(1)
    return len(_seen)
"""

PROGRAMS: dict[str, str] = {
    "set_order_str": (
        "s={w for w in 'the quick brown fox jumps over lazy dogs and more words like alpha beta gamma'.split()}\n"
        "out=[list(s)]\n"
        "ext('a',1)\n"
        "for i in range(50): s.add('k'+str(i))\n"
        "out.append(list(s)); out.append(s.pop()); out"
    ),
    "set_order_mixed": (
        "s={1,2.5,'x',None,(1,2),True,b'q',frozenset([1,2]),-7,10**20}\n"
        "ext('a',1)\n"
        "[repr(x) for x in s]"
    ),
    "set_ops": (
        "a=set(range(0,1000,7)); b={str(i) for i in range(100)}\n"
        "ext('a',1)\n"
        "c=a|{5,6,7}; d=a-{14}; [list(c)[:50],list(d)[:50],list(b)[:20],list(a&c)[:9],list(a^{1,2,3})[:9]]"
    ),
    "dict_order": (
        "d={}\n"
        "for i in range(100): d['k'+str((i*37)%100)]=i\n"
        "ext('x',1)\n"
        "for i in range(0,100,3): d.pop('k'+str(i))\n"
        "d['z']=1\n"
        "list(d.items())"
    ),
    "hash_values": (
        "[hash('abc'),hash(b'abc'),hash((1,'a',None)),hash(1.5),hash(None),hash(True),hash(10**30),hash(frozenset([1,2,'x'])),hash('')]+[ext('h',1)]+[hash('abc'),hash((1,'a'))]"
    ),
    "hash_objects": (
        "class A: pass\n"
        "xs=[A() for _ in range(5)]\n"
        "h1=[hash(x) for x in xs]\n"
        "ext('a',1)\n"
        "h2=[hash(x) for x in xs]\n"
        "[h1==h2,h1,hash(len),hash(A)]"
    ),
    "id_values": (
        "a=[];b={};c='s'\n"
        "i1=[id(a),id(b),id(c),id(None),id(1),id(len)]\n"
        "ext('x',1)\n"
        "i2=[id(a),id(b),id(c),id(None),id(1),id(len)]\n"
        "[i1,i2,i1==i2]"
    ),
    "repr_addresses": (
        "class A: pass\n"
        "def f(): pass\n"
        "r1=[repr(A()),repr(f),repr(lambda:1),repr(len),repr(A),repr(iter([1])),repr(object)]\n"
        "ext('x',1)\n"
        "r2=[repr(A()),repr(f),repr(len)]\n"
        "[r1,r2]"
    ),
    "is_identity": (
        "a=257;b=257;c='hello'+str(1);d='hello1';e=1.5\n"
        "ext('x',1)\n"
        "f=257\n"
        "[a is b,c is d,a is f,() is (),'' is '',e is 1.5,[] is []]"
    ),
    "float_format": (
        "xs=[0.1,1/3,1e21,1e-7,5e-324,1.7976931348623157e308,2**53+1.0,-0.0,float('inf'),float('nan'),123456789.123456789]\n"
        "ext('x',1)\n"
        "[[repr(x),f'{x:.3f}',f'{x:e}',f'{x:g}','%.10g'%x,str(round(x,2)) if x==x and abs(x)<1e300 else ''] for x in xs]"
    ),
    "math_funcs": (
        "import math\n"
        "xs=[0.1*i for i in range(1,40)]\n"
        "ext('x',1)\n"
        "[repr(v) for x in xs for v in (math.sin(x),math.exp(x),math.log(x),math.tan(x),math.sqrt(x),x**2.7,math.atan2(x,2),math.gamma(x),math.erf(x),math.cbrt(x))]+[math.fsum(xs),math.hypot(3,4.1),sum(xs)]"
    ),
    "random_module": (
        "import random\n"
        "a=[random.random(),random.randint(1,10**9),random.gauss(0,1),random.choice('abcdef'),random.sample(range(100),5),random.uniform(1,2)]\n"
        "ext('x',1)\n"
        "x=list(range(20)); random.shuffle(x)\n"
        "a+[x,random.random(),random.choices([1,2,3],k=5),random.getrandbits(64)]"
    ),
    "random_instances": (
        "import random\n"
        "r=random.Random(); q=random.Random(); s=random.Random(5)\n"
        "a=[r.random(),q.random(),s.random()]\n"
        "ext('x',1)\n"
        "a+[r.random(),q.random(),s.random(),random.Random().random()]"
    ),
    "clock_all": (
        "import time\n"
        "from datetime import datetime,date,timezone\n"
        "a=[time.time(),time.monotonic(),time.perf_counter(),time.time_ns(),time.process_time(),str(datetime.now()),str(datetime.now(timezone.utc)),str(date.today()),time.strftime('%Y-%m-%d %H:%M:%S %Z')]\n"
        "ext('x',1)\n"
        "a+[time.time(),time.process_time(),str(datetime.now()),time.tzname,time.timezone]"
    ),
    "sleep_zero": (
        "import time,asyncio\n"
        "t=time.time()\n"
        "time.sleep(3600)\n"
        "async def m(): await asyncio.sleep(100); return 1\n"
        "r=await m()\n"
        "[time.time()-t,r,ext('x',1)]"
    ),
    "sort_stability": (
        "xs=[{'k':i%5,'i':i} for i in range(60)]\n"
        "ext('x',1)\n"
        "xs.sort(key=lambda d:d['k'])\n"
        "[(d['k'],d['i']) for d in xs]+sorted('bADac',key=str.lower)+[max(xs,key=lambda d:d['k'])['i'],min(xs,key=lambda d:-d['k'])['i']]"
    ),
    "json_roundtrip": (
        "import json\n"
        "d={'b':1,'a':[1,2.5,None,True,'é\\u2028'],'n':{'z':1e100,'y':-0.0}}\n"
        "s=json.dumps(d)\n"
        "ext('x',s)\n"
        "[s,json.dumps(d,sort_keys=True,indent=1),json.dumps(json.loads(s)),json.dumps({1:2,None:3,True:4})]"
    ),
    "exceptions_text": (
        "out=[]\n"
        "def bad(n): return [1,2][n]\n"
        "for f in (lambda:1/0,lambda:bad(5),lambda:{}['k'],lambda:int('x'),lambda:None.foo,lambda:'a'+1,lambda:undefined_thing,lambda:ext('raise',1)):\n"
        "    try: f()\n"
        "    except Exception as e: out.append((type(e).__name__,str(e),repr(e)))\n"
        "out"
    ),
    "uncaught_after_call": (
        "x=ext('a',1)\n"
        "def f(n):\n"
        "    if n==0: raise ValueError('deep '+str(x))\n"
        "    return f(n-1)\n"
        "f(3)"
    ),
    "async_gather_order": (
        "import asyncio\n"
        "log=[]\n"
        "async def job(i):\n"
        "    log.append(('start',i))\n"
        "    r=await aext('job',i)\n"
        "    log.append(('end',i,r))\n"
        "    return r*2\n"
        "async def main(): return await asyncio.gather(*[job(i) for i in range(5)])\n"
        "r=await main()\n"
        "[r,log]"
    ),
    "async_nested_gather": (
        "import asyncio\n"
        "log=[]\n"
        "async def leaf(a,b):\n"
        "    v=await aext('leaf',a*10+b); log.append((a,b)); return v\n"
        "async def branch(a): return sum(await asyncio.gather(*[leaf(a,b) for b in range(3)]))\n"
        "async def main(): return await asyncio.gather(*[branch(a) for a in range(3)])\n"
        "[await main(),log]"
    ),
    "closures_state": (
        "def counter():\n"
        "    n=0\n"
        "    def inc(k=1):\n"
        "        nonlocal n\n"
        "        n+=k\n"
        "        return n\n"
        "    return inc\n"
        "c=counter();d=counter()\n"
        "a=[c(),c(5),d()]\n"
        "ext('x',1)\n"
        "a+[c(),d(2),c(0)]"
    ),
    "classes_dataclass": (
        "from dataclasses import dataclass,field\n"
        "@dataclass\n"
        "class Item:\n"
        "    name:str\n"
        "    qty:int=1\n"
        "    tags:list=field(default_factory=list)\n"
        "xs=[Item('a'),Item('b',3,['t'])]\n"
        "ext('x',len(xs))\n"
        "xs[0].tags.append(ext('y',2))\n"
        "[repr(xs),xs[0]==Item('a',1,[xs[0].tags[0]]),[x.name for x in xs]]"
    ),
    "regex_mix": (
        "import re\n"
        "t='order 12 of 2024-05-06, id=AB-99; order 7 of 2023-01-02'\n"
        "m=[x.groups() for x in re.finditer(r'order (\\d+) of (\\d{4})-(\\d\\d)',t)]\n"
        "ext('x',len(m))\n"
        "[m,re.sub(r'(\\d+)',lambda k:str(int(k.group(1))+1),t),re.split(r'[;,]\\s*',t)]"
    ),
    "datetime_math": (
        "from datetime import datetime,timedelta,timezone\n"
        "a=datetime.fromisoformat('2024-02-28T23:30:00+00:00')\n"
        "ext('x',1)\n"
        "[str(a+timedelta(hours=i*7.5)) for i in range(8)]+[a.isoformat(),str(a.astimezone(timezone(timedelta(hours=-3)))),a.timestamp(),a.strftime('%A %B %d %j %U')]"
    ),
    "bigint": (
        "x=3**500\n"
        "ext('x',1)\n"
        "[str(x),x%997,x>>300,pow(7,10**20,10**9+7),-x//12345678901234567890,divmod(-7,3)]"
    ),
    "itertools_collections": (
        "import itertools,collections,functools\n"
        "c=collections.Counter('mississippi')\n"
        "d=collections.defaultdict(list)\n"
        "for k,v in zip('abcabc',range(6)): d[k].append(v)\n"
        "ext('x',1)\n"
        "[c.most_common(),dict(d),list(itertools.combinations('abcd',2)),list(itertools.groupby([1,1,2,3,3]))[:1] and [k for k,_ in itertools.groupby([1,1,2,3,3])],functools.reduce(lambda a,b:a*b,range(1,20)),list(collections.deque([1,2,3],maxlen=2))]"
    ),
    "string_unicode": (
        "import unicodedata\n"
        "s='Ação café ΑΒΓ ﬃ 🇧🇷 \\u0301e'\n"
        "ext('x',s)\n"
        "[s.upper(),s.casefold(),s.title(),len(s),unicodedata.normalize('NFC',s),s.encode().hex(),sorted(s),s[::-1],s.split()]"
    ),
    "nested_calls_loop": (
        "tot=0\n"
        "log=[]\n"
        "for i in range(12):\n"
        "    v=ext('step',i)\n"
        "    if v%2: tot+=v\n"
        "    else:\n"
        "        try: tot-=ext('inner',v)\n"
        "        except RuntimeError as e: log.append(str(e))\n"
        "[tot,log]"
    ),
    "print_output": (
        "print('a',1,{'x':{1,2,3}})\next('x',1)\nprint('b',end='')\nprint({'k':'v'},[1.0])\n'done'"
    ),
    "big_state": (
        "rows=[{'id':i,'v':(i*7919)%1000,'s':'x'*(i%17)} for i in range(3000)]\n"
        "ext('x',1)\n"
        "agg={}\n"
        "for r in rows: agg[r['v']%10]=agg.get(r['v']%10,0)+len(r['s'])\n"
        "ext('y',len(agg))\n"
        "sorted(agg.items())"
    ),
    "hashlib_like": (
        "h=1469598103934665603\n"
        "for ch in ('tenant/'+str(ext('x',1))).encode(): h=((h^ch)*1099511628211)%2**64\n"
        "[hex(h),bytes([h%256]).hex()]"
    ),
    "sys_info": (
        "import sys\n"
        "ext('x',1)\n"
        "[sys.version,sys.platform,sys.maxsize if hasattr(sys,'maxsize') else None,str(sys.version_info)[:40]]"
    ),
    "eval_exec": (
        "ns={'a':2}\n"
        "exec('b=a*21',ns)\n"
        "v=eval('a+b',ns)\n"
        "ext('x',v)\n"
        "[v,ns.get('b'),sorted(k for k in ns if not k.startswith('_'))]"
    ),
    "async_settle_order": (
        "import asyncio\n"
        "log=[]\n"
        "async def job(i):\n"
        "    v=await aext('job',i)\n"
        "    log.append(i)\n"
        "    return v\n"
        "async def main(): return await asyncio.gather(*[job(i) for i in range(6)])\n"
        "r=await main()\n"
        "[r,log]"
    ),
    "async_mixed_with_calls": (
        "import asyncio\n"
        "log=[]\n"
        "async def job(i):\n"
        "    a=ext('step',i)\n"
        "    b=await aext('job',a)\n"
        "    log.append((i,a,b))\n"
        "    return ext('z',b)\n"
        "async def main(): return await asyncio.gather(*[job(i) for i in range(3)])\n"
        "r=await main()\n"
        "[r,log,ext('end',len(log))]"
    ),
    "async_sleeps": (
        "import asyncio,time\n"
        "log=[]\n"
        "async def nap(i):\n"
        "    await asyncio.sleep(i)\n"
        "    log.append(i)\n"
        "    return i\n"
        "t=time.time()\n"
        "r=await asyncio.gather(nap(3),nap(1),nap(2))\n"
        "[r,log,time.time()-t]"
    ),
    "async_failure": (
        "import asyncio\n"
        "log=[]\n"
        "async def job(i):\n"
        "    try:\n"
        "        return await aext('inner',i)\n"
        "    except RuntimeError as e:\n"
        "        log.append((i,str(e)))\n"
        "        return None\n"
        "r=await asyncio.gather(*[job(i) for i in range(5)])\n"
        "[r,log]"
    ),
    "decimal_money": (
        "from decimal import Decimal,ROUND_HALF_UP\n"
        "xs=[Decimal('19.99')*i for i in range(1,30)]\n"
        "ext('x',1)\n"
        "[str(sum(xs)),[str((x/7).quantize(Decimal('0.01'),rounding=ROUND_HALF_UP)) for x in xs],str(Decimal(1)/Decimal(3))]"
    ),
    "hashlib_base64": (
        "import hashlib,base64\n"
        "d=hashlib.sha256(b'casa').hexdigest()\n"
        "ext('x',d)\n"
        "[d,hashlib.blake2b(b'x').hexdigest() if hasattr(hashlib,'blake2b') else '',base64.b64encode(d.encode()).decode(),base64.urlsafe_b64encode(b'\\xff\\xfe').decode()]"
    ),
    "clock_between_calls": (
        "from datetime import datetime\n"
        "import time\n"
        "a=[str(datetime.now())]\n"
        "ext('x',1)\n"
        "a.append(time.time())\n"
        "ext('y',2)\n"
        "a.append(str(datetime.now()))\n"
        "time.sleep(86400)\n"
        "a+[str(datetime.now()),time.monotonic()]"
    ),
    "random_many_draws": (
        "import random\n"
        "out=[]\n"
        "for i in range(20):\n"
        "    out.append(random.random())\n"
        "    if i%5==0: out.append(ext('x',i))\n"
        "random.seed(42)\n"
        "out+[random.random() for _ in range(5)]"
    ),
    "match_statement": (
        "def kind(v):\n"
        "    match v:\n"
        "        case {'type':'sale','total':t} if t>ext('limit',3): return ('big',t)\n"
        "        case {'type':t}: return ('other',t)\n"
        "        case [a,*rest]: return ('list',a,rest)\n"
        "        case _: return ('none',)\n"
        "[kind({'type':'sale','total':10**6}),kind({'type':'sale','total':1}),kind({'type':'x'}),kind([1,2,3]),kind(None)]"
    ),
    "error_after_state": (
        "seen=set()\n"
        "def step(i):\n"
        "    seen.add('k%d'%i)\n"
        "    if i==4: raise KeyError(sorted(seen)[0])\n"
        "    return ext('s',i)\n"
        "out=[]\n"
        "for i in range(6):\n"
        "    try: out.append(step(i))\n"
        "    except KeyError as e: out.append(repr(e))\n"
        "[out,list(seen)]"
    ),
    "csv_and_tables": (
        "import csv\n"
        "rows=list(csv.reader(['a;b','1;2','\"x;y\";3'],delimiter=';'))\n"
        "ext('x',len(rows))\n"
        "rows"
    ),
    "deep_closures_over_suspension": (
        "fs=[]\n"
        "for i in range(10):\n"
        "    def f(x,i=i):\n"
        "        y=ext('c',x+i)\n"
        "        return (i,y)\n"
        "    fs.append(f)\n"
        "[f(j) for j,f in enumerate(fs)]"
    ),
    "prelude_functions": (
        "import sdk\n"
        "from sdk import money\n"
        "[sdk.twice(ext('x',1)),money('1.235'),sdk.Line(2).total(ext('y',2)),sdk.count(),sdk.count()]"
    ),
    "big_text_over_suspension": (
        "t='casa '*20000\next('x',len(t))\nu=t.upper()\next('y',len(u))\n[len(u),hash(u),u[5:9]]"
    ),
}


def told(code: str) -> str:
    """Return the program with `repr` around its last expression: every kind of value is told."""
    last = ast.parse(code).body[-1]
    assert isinstance(last, ast.Expr)
    lines = code.split("\n")
    before = [
        *lines[: last.lineno - 1],
        lines[last.lineno - 1].encode()[: last.col_offset].decode(),
    ]
    expression = "\n".join(
        [lines[last.lineno - 1].encode()[last.col_offset :].decode(), *lines[last.lineno :]]
    )
    return "from host import ext, aext\n" + "\n".join(before) + "repr(" + expression.rstrip() + ")"
