"""How does the page look? One accent colour, letters for reading, by day, by night and on paper.

Every text colour has a contrast of at least 4.5 to 1 on every ground it stands on (WCAG 2.2, AA); tests hold it to
that. Marks differ in shape as well as in colour.
"""

LIGHT = {
    "ground": "#fbfaf7",
    "sheet": "#ffffff",
    "ink": "#1d2126",
    "quiet": "#5c636b",
    "rule": "#dfdcd3",
    "accent": "#0b5f6b",
    "wash": "#e9f1f1",
    "bad": "#a8201a",
    "concern": "#7d5200",
}
DARK = {
    "ground": "#14171a",
    "sheet": "#1b1f23",
    "ink": "#e9e7e1",
    "quiet": "#a2a8ae",
    "rule": "#343a40",
    "accent": "#6fc3cd",
    "wash": "#1d2b2e",
    "bad": "#ff8f86",
    "concern": "#e7b75a",
}


def stylesheet() -> str:
    """Return the page's whole style."""
    return (
        f":root{{{_variables(LIGHT)}}}\n@media (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}\n"
        + (_STYLE + f"\n@media print{{:root{{{_variables(LIGHT)}}}{_PRINT}}}")
    )


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())


_STYLE = """
:root{color-scheme:light dark;
--serif:Charter,"Bitstream Charter","Sitka Text",Cambria,"Noto Serif",Georgia,serif;
--sans:system-ui,-apple-system,"Segoe UI","Noto Sans","Liberation Sans",sans-serif;
--mono:ui-monospace,"SF Mono","Cascadia Mono",Consolas,"Liberation Mono","DejaVu Sans Mono",monospace}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
body{margin:0;background:var(--ground);color:var(--ink);font:1rem/1.6 var(--sans);
font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
main{max-width:62rem;margin:0 auto;padding:3.5rem 1.5rem 5rem}
h1,h2,h3{font-family:var(--serif);font-weight:600;line-height:1.2;text-wrap:balance}
h1{font-size:clamp(1.9rem,1.2rem + 3vw,3rem);margin:0;letter-spacing:-.01em}
h2{font-size:1.6rem;margin:0 0 1rem}
h3{font-size:1.15rem;margin:1.75rem 0 .6rem}
h4{font-size:.95rem;margin:1.75rem 0 .5rem}
p{margin:.5rem 0 1rem;max-width:44rem}
a{color:var(--accent);text-underline-offset:.2em}
a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:2px solid var(--accent);outline-offset:3px}
section{margin-top:4rem;padding-top:2.5rem;border-top:1px solid var(--rule)}
.eyebrow{color:var(--quiet);font-size:.875rem;margin:0 0 1.25rem;max-width:none}
.headline{display:flex;gap:1rem;align-items:flex-start}
.headline .icon{width:clamp(2.1rem,1.4rem + 3vw,3.2rem);height:auto;margin-top:.15rem}
.lead{font:1.3rem/1.55 var(--serif);max-width:48rem;margin:1.25rem 0 2.25rem}
.quiet{color:var(--quiet)}
.small,.quiet{font-size:.875rem}
.icon{flex:none;width:1.35rem;height:1.35rem;fill:none;stroke:currentColor;stroke-width:2.2;stroke-linecap:round;
stroke-linejoin:round;color:var(--accent)}
.icon circle{stroke-width:1.2}
.icon.bad{color:var(--bad)}.icon.concern{color:var(--concern)}
nav{margin-top:2rem;font-size:.95rem}
nav ul{list-style:none;margin:0;padding:0;display:flex;flex-wrap:wrap;gap:.4rem 1.5rem}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,19rem),1fr));gap:1.1rem 2.5rem;margin:0}
.facts dt{color:var(--quiet);font-size:.8125rem}
.facts dd{margin:.1rem 0 0}
.facts dd .quiet{display:block}
.digits{font:.8125rem/1.65 var(--mono);overflow-wrap:normal;display:inline-block;max-width:41ch}
.findings{list-style:none;margin:0;padding:0}
.findings li{display:grid;grid-template-columns:1.35rem 8.5rem 1fr;gap:.2rem .85rem;padding:.7rem 0;
border-bottom:1px solid var(--rule)}
.findings li:last-child{border-bottom:0}
.findings p{margin:0}
.findings .icon{margin-top:.12rem}
.about b{font-weight:600}
.at{color:var(--quiet);font-size:.8125rem;display:block}
.plain{padding-left:1.2rem;max-width:44rem}.plain li{margin:.5rem 0}
figure{margin:0}
svg{overflow:visible}
svg text{font:.75rem var(--sans);fill:var(--quiet)}
svg .lane{fill:var(--ink);font-size:.8125rem}
.grid{stroke:var(--rule);stroke-width:1}
.fill{fill:var(--accent)}
.timeline{margin:1.5rem 0 1rem}.timeline svg,.curve svg{display:block}
.epoch{fill:var(--wash)}
.takeover{stroke:var(--ink);stroke-width:1.25;stroke-dasharray:4 3}
.hatch{stroke:var(--quiet);stroke-width:1}.tail{opacity:.45}
.mark{stroke:var(--accent);stroke-width:1.5;fill:var(--accent)}
.mark.open{fill:var(--ground)}
svg .mark.bad{fill:var(--bad);stroke:none;font-size:1.15rem;font-weight:700;text-anchor:middle}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.4rem 1.6rem;padding:0;margin:0 0 .5rem;font-size:.875rem}
.legend li{display:flex;gap:.5rem;align-items:center}
.legend svg{flex:none}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,19.5rem),1fr));gap:1.25rem;margin-top:1.5rem}
.card{background:var(--sheet);border:1px solid var(--rule);border-radius:.5rem;padding:1.1rem 1.25rem;min-width:0}
.card h3{margin:0 0 .15rem;display:flex;flex-wrap:wrap;gap:.2rem .6rem;align-items:center}
.card p{margin:.1rem 0 .6rem}
.card .digits{display:block;max-width:20ch;margin:.6rem 0}
.pill{font:.75rem/1.5 var(--sans);border:1px solid currentColor;border-radius:1rem;padding:0 .6rem;
color:var(--quiet);font-weight:400}
.pill.warn{color:var(--concern)}
.note{border-left:3px solid var(--accent);padding:.1rem 0 .1rem 1rem;margin:1rem 0 1.5rem}
.note .digits{display:block}
.note.warn{border-color:var(--concern)}
.scroll{overflow-x:auto;margin:.75rem 0 1rem}
table{border-collapse:collapse;width:100%;font-size:.9rem}
caption{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
th,td{text-align:left;vertical-align:top;padding:.5rem 1.25rem .5rem 0;border-bottom:1px solid var(--rule);
overflow-wrap:break-word}
th:last-child,td:last-child{padding-right:0}
thead th{color:var(--quiet);font-size:.8125rem;font-weight:400;white-space:nowrap}
tbody th{font-weight:600;min-width:5.5rem}
.number{text-align:right}
td .digits{white-space:nowrap}
.bar{display:block;width:100%;min-width:4.5rem;height:.65rem;border-left:1px solid var(--quiet);margin-top:.4rem}
.state{display:flex;gap:.4rem;align-items:center;white-space:nowrap}
.when{display:block;white-space:nowrap}
details{margin-top:1rem}
summary{cursor:pointer}
.job{border:1px solid var(--rule);border-radius:.5rem;background:var(--sheet);padding:1rem 1.25rem}
.job>summary{margin:-1rem -1.25rem;padding:1rem 1.25rem}
.job>summary h3{display:inline;margin:0 .6rem 0 .2rem}
.scroll+.job{margin-top:2rem}
.job>summary .pill{margin-right:.5rem;white-space:nowrap}
.job>.facts{margin-top:1.5rem}
.curves{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,19rem),1fr));gap:2rem 3rem;
margin-top:2rem}
.curve{padding:0 .5rem 0 3rem}
.curve figcaption{margin:0 0 .9rem -3rem;font-size:.875rem;color:var(--quiet)}
.curve figcaption b{color:var(--ink);font-weight:600}
.line{fill:none;stroke:var(--accent);stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.dot{fill:var(--accent);stroke:var(--sheet);stroke-width:1}
.level{text-anchor:end}.step{text-anchor:middle}
.halves{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,21rem),1fr));gap:0 3rem}
.halves>div{min-width:0}
.worth ul{list-style:none;margin:.75rem 0 0;padding:0}
.worth li svg{display:block;width:100%;height:1.5rem}
.worth li p{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 1rem;margin:0;font-size:.9rem;
max-width:none}
.worth li+li p{margin-top:.35rem}
.worth .fill{fill-opacity:.5}
.worth b{font-weight:600}.worth i{font-style:normal;color:var(--bad);margin-right:.75rem}
.worth figcaption{font-size:.875rem;color:var(--quiet);margin:.75rem 0 1rem}
.scale{display:block;width:100%;height:1rem;margin-top:.2rem}
.zero{stroke:var(--quiet);stroke-width:1}
.loss{fill:none;stroke:var(--bad);stroke-width:1.5}
.error{stroke:var(--ink);stroke-width:1.5}
.flow{margin:1.25rem 0 1rem}.flow svg{display:block}
.band{fill:var(--accent);fill-opacity:.22;stroke:var(--accent);stroke-opacity:.35;stroke-width:.75}
.band.open{fill-opacity:.09;stroke-opacity:.6;stroke-dasharray:4 3}
.node{fill:var(--accent);stroke:var(--accent);stroke-width:1}
.node.open{fill:var(--ground)}
.flow text{paint-order:stroke;stroke:var(--ground);stroke-width:3px;stroke-linejoin:round}
svg .sum{fill:var(--ink)}
.cards.wide{grid-template-columns:repeat(auto-fill,minmax(min(100%,25rem),1fr));align-items:start}
.card .note{font-size:.9rem}.card th .quiet{font-weight:400}
.card .pot{font:1.5rem/1.2 var(--serif);margin:.35rem 0 .75rem}
.cash{white-space:nowrap}.pot .cash{white-space:normal}
td .named{display:inline-block;min-width:5.5rem}
footer{margin-top:4rem;color:var(--quiet);font-size:.875rem}
@media (max-width:40rem){main{padding:2rem 1.1rem 3rem}section{margin-top:2.75rem;padding-top:2rem}
.headline{gap:.75rem}.lead{font-size:1.125rem}.job,.card{padding:1rem}
.job>summary{margin:-1rem;padding:1rem}
.findings li{grid-template-columns:1.35rem 1fr}.findings p{grid-column:2}th,td{padding-right:1rem}}
"""

_PRINT = """
@page{margin:18mm 16mm}
body{font-size:10pt;background:#fff}main{max-width:none;padding:0}nav{display:none}
h1{font-size:24pt}h2{font-size:15pt}.lead{font-size:12.5pt}
section{margin-top:1.5rem;padding-top:1.25rem}
h2,h3,h4,summary,section>p{break-after:avoid}
.card,.job{margin-right:1px}.curves,.facts,.cards,.cards.wide,.halves{
grid-template-columns:1fr 1fr}
.card,.curve,.flow,.worth li,.findings li,tr,.timeline{break-inside:avoid}
.job{break-inside:auto}.scroll{overflow:visible}
details::details-content{content-visibility:visible;display:block;block-size:auto}
summary{list-style:none}
"""
