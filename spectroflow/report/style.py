"""The look of the page and the script that draws its plots."""

from __future__ import annotations

#: Colours by theme. Curves are told apart by dash and name too, never by colour alone.
_LIGHT = {
    "ground": "#f7f6f2", "card": "#ffffff", "ink": "#1c2326", "soft": "#5a666b", "rule": "#dcdfdd", "accent": "#0b6e75",
    "ok": "#1d7a46", "failed": "#b3261e", "skipped": "#8a6100", "best": "#e3f1ee", "warning": "#fff4dc",
    "failure": "#fde7e5", "measured": "#1c2326", "generated": "#c2410c", "band": "rgba(194,65,12,0.16)",
    "input": "#1d5fa8", "residual": "#6b5b95", "baseline": "#1d7a46", "line": "#8fb4d9", "muted": "#8a9296",
    "c1": "#0b6e75", "c2": "#c2410c", "c3": "#1d5fa8", "c4": "#8a6100", "c5": "#8e3b8a", "c6": "#55606a",
}  # fmt: skip
_DARK = {
    "ground": "#14181a", "card": "#1c2225", "ink": "#e8ecea", "soft": "#a3afb1", "rule": "#343d41", "accent": "#5cc4c4",
    "ok": "#6fcf97", "failed": "#ff8f86", "skipped": "#e6b84d", "best": "#173a38", "warning": "#3a2f12",
    "failure": "#45201d", "measured": "#e8ecea", "generated": "#ff9a5c", "band": "rgba(255,154,92,0.18)",
    "input": "#7fb8f0", "residual": "#b9a7e0", "baseline": "#6fcf97", "line": "#48688a", "muted": "#7d898d",
    "c1": "#5cc4c4", "c2": "#ff9a5c", "c3": "#7fb8f0", "c4": "#e6b84d", "c5": "#dc92d8", "c6": "#a3afb1",
}  # fmt: skip


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colours.items())


CSS = f"""
:root{{color-scheme:light dark;{_variables(_LIGHT)}}}
@media (prefers-color-scheme:dark){{:root{{{_variables(_DARK)}}}}}
*{{box-sizing:border-box}}
body{{margin:0;background:var(--ground);color:var(--ink);line-height:1.5;
 font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Liberation Sans",sans-serif;font-size:16px}}
main,header,footer,nav{{max-width:1120px;margin:0 auto;padding:0 24px}}
header{{padding-top:36px}}
h1{{font-size:1.9rem;line-height:1.2;margin:0 0 6px}}
h2{{font-size:1.35rem;margin:44px 0 10px;padding-top:10px;border-top:2px solid var(--accent)}}
h3{{font-size:1.05rem;margin:22px 0 6px}}
p{{margin:6px 0 12px;max-width:80ch}}
a{{color:var(--accent)}}
a:focus-visible,summary:focus-visible,[tabindex]:focus-visible{{outline:3px solid var(--accent);outline-offset:2px}}
.skip{{position:absolute;left:-9999px}} .skip:focus{{left:8px;top:8px;background:var(--card);padding:8px}}
.lead{{font-size:1.1rem;color:var(--soft)}}
.source{{font-size:.84rem;color:var(--soft);margin:4px 0 14px;overflow-wrap:anywhere}}
.unit,.interval{{color:var(--soft);font-weight:400;font-size:.86em;white-space:nowrap}}
.nothing{{color:var(--soft)}}
.facts{{display:grid;grid-template-columns:repeat(auto-fill,minmax(240px,1fr));background:var(--card);
 border:1px solid var(--rule);border-radius:8px;overflow:hidden;margin:18px 0}}
.facts div{{padding:9px 14px;min-width:0;box-shadow:1px 1px 0 var(--rule)}}
.facts dt{{font-size:.8rem;color:var(--soft)}} .facts dd{{margin:0;font-weight:600;overflow-wrap:anywhere}}
.facts small{{display:block;font-weight:400;color:var(--soft);font-size:.76rem}}
dl{{margin:0}}
nav ul{{list-style:none;display:flex;flex-wrap:wrap;gap:6px 20px;padding:0;margin:8px 0}}
.scroll{{overflow-x:auto;background:var(--card);border:1px solid var(--rule);border-radius:8px;margin:8px 0 4px}}
table{{border-collapse:collapse;width:100%;font-size:.92rem}}
caption{{text-align:left;padding:10px 14px 4px;font-weight:600}}
th,td{{text-align:left;padding:7px 14px;border-bottom:1px solid var(--rule);vertical-align:top}}
tbody tr:last-child>*{{border-bottom:0}}
thead th{{color:var(--soft);font-weight:600;vertical-align:bottom;font-size:.86rem}}
tbody th{{font-weight:500}}
.number{{text-align:right;font-variant-numeric:tabular-nums}} td.number{{white-space:nowrap}}
thead th.number{{min-width:6.5em}} caption.hidden{{position:absolute;width:1px;height:1px;overflow:hidden;padding:0}}
td.number .interval{{display:block}}
tr.group>*{{background:var(--ground);font-weight:700;padding-top:12px}}
tr.baseline,tr.bound{{color:var(--soft)}} tr.total>*{{font-weight:700;border-top:2px solid var(--rule)}}
.best{{display:inline-block;background:var(--best);border-radius:4px;padding:1px 5px;font-weight:700;color:var(--ink)}}
.kind{{font-size:.76rem;color:var(--soft);border:1px solid var(--rule);border-radius:9px;padding:0 7px;margin-left:6px}}
.ok{{color:var(--ok)}} .failed{{color:var(--failed)}} .skipped{{color:var(--skipped)}}
.tiles{{display:flex;flex-wrap:wrap;gap:12px;margin:12px 0}}
.tiles div{{background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:10px 18px;min-width:130px}}
.tiles b{{display:block;font-size:1.6rem;line-height:1.2;font-variant-numeric:tabular-nums}}
.tiles span{{color:var(--soft);font-size:.88rem}}
.notice{{border-left:5px solid var(--accent);background:var(--card);padding:10px 16px;border-radius:4px;max-width:none}}
.notice.warning{{border-color:var(--skipped);background:var(--warning)}}
.notice.failure{{border-color:var(--failed);background:var(--failure)}}
.example,.figure{{background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:12px 14px;
 margin:12px 0}}
.example h4{{margin:0;font-size:1rem}} .example p{{margin:2px 0 4px;font-size:.9rem}}
.chips{{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:.9rem;margin:2px 0}} .chips span span{{font-size:.9em}}
.plot{{width:100%}}
.flag{{display:inline-block;font-size:.8rem;border:1px solid var(--skipped);color:var(--skipped);border-radius:9px;
 padding:0 8px;margin-right:6px}}
footer{{color:var(--soft);font-size:.85rem;padding:36px 24px}}
code{{font-size:.92em}}
@media print{{body{{background:#fff}} nav,.skip{{display:none}} .example,.figure{{break-inside:avoid}}}}
@media (prefers-reduced-motion:no-preference){{html{{scroll-behavior:smooth}}}}
"""

SCRIPT = """
(function(){
"use strict";
var dark=window.matchMedia("(prefers-color-scheme: dark)");
function colour(name){return getComputedStyle(document.documentElement).getPropertyValue("--"+name).trim();}
function themed(x){
  if(typeof x==="string"){return x.charAt(0)==="$"?colour(x.slice(1)):x;}
  if(Array.isArray(x)){return x.length&&typeof x[0]==="object"&&x[0]!==null?x.map(themed):x;}
  if(x&&typeof x==="object"){
    var y={};
    Object.keys(x).forEach(function(k){y[k]=(k==="name"||k==="text")?x[k]:themed(x[k]);});
    return y;
  }
  return x;
}
function base(layout){
  var l=Object.assign({margin:{l:64,r:16,t:46,b:48},paper_bgcolor:"rgba(0,0,0,0)",plot_bgcolor:"rgba(0,0,0,0)",
    font:{family:"system-ui,sans-serif",size:13,color:colour("ink")},hovermode:"closest",
    showlegend:true,modebar:{bgcolor:"rgba(0,0,0,0)",color:colour("muted"),activecolor:colour("accent")},
    legend:{orientation:"h",y:1.02,yanchor:"bottom",x:0},hoverlabel:{bgcolor:colour("card"),font:{color:colour("ink")}}},themed(layout));
  Object.keys(l).filter(function(k){return /^[xy]axis/.test(k);}).forEach(function(k){
    l[k]=Object.assign({gridcolor:colour("rule"),zerolinecolor:colour("muted"),linecolor:colour("rule"),ticks:"outside",
      tickcolor:colour("rule"),automargin:true,exponentformat:"power",minexponent:6},l[k]);
  });
  return l;
}
function draw(div){
  if(!div.spec){div.spec=JSON.parse(div.querySelector("script").textContent);}
  // Named one by one: plotly's own set has a button that sends the data to its maker.
  var buttons=[["toImage"],["zoom2d","pan2d","zoomIn2d","zoomOut2d","resetScale2d"]];
  var options={responsive:true,displaylogo:false,showSendToCloud:false,showLink:false,modeBarButtons:buttons};
  Plotly.react(div,themed(div.spec.data),base(div.spec.layout),options);
  div.drawn=true;
}
var plots=Array.prototype.slice.call(document.querySelectorAll(".plot"));
plots.forEach(function(div){div.spec=JSON.parse(div.querySelector("script").textContent);div.textContent="";});
if("IntersectionObserver" in window){
  var watch=new IntersectionObserver(function(seen){
    seen.forEach(function(entry){if(entry.isIntersecting){watch.unobserve(entry.target);draw(entry.target);}});
  },{rootMargin:"600px"});
  plots.forEach(function(div){watch.observe(div);});
}else{plots.forEach(draw);}
window.addEventListener("beforeprint",function(){plots.forEach(draw);});
dark.addEventListener("change",function(){plots.forEach(function(div){if(div.drawn){draw(div);}});});
})();
"""
