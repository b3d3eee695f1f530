"""How pages look: one set of colours for light and dark, scoped under the class `ot`.

Gain is teal and loss is orange, which colour-blind people tell apart, and neither stands alone:
signs, arrows and words say the same. A notebook's own theme wins over the system's.
"""

from __future__ import annotations

LIGHT = """--ot-bg:#fff;--ot-p:#f6f8fa;--ot-ln:#dde3ea;--ot-tx:#18212d;--ot-mu:#5f6b7a;
--ot-ac:#2563c9;--ot-up:#0a7f78;--ot-dn:#b8500a;--ot-wb:#fff6dc;--ot-wt:#6b4a00;--ot-wl:#e6c35c"""
DARK = """--ot-bg:#11161f;--ot-p:#181f2b;--ot-ln:#2b3545;--ot-tx:#dbe1ea;--ot-mu:#919db0;
--ot-ac:#5aa9ff;--ot-up:#3fb8af;--ot-dn:#f0883e;--ot-wb:#2b2512;--ot-wt:#ecc55f;--ot-wl:#6d5a1e"""
FONT = '-apple-system,BlinkMacSystemFont,Inter,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif'
MONO = 'ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace'

THEMES = f""".ot{{{LIGHT}}}
@media (prefers-color-scheme:dark){{.ot{{{DARK}}}}}
body[data-jp-theme-light="true"] .ot,body.vscode-light .ot,html[theme="light"] .ot{{{LIGHT}}}
body[data-jp-theme-light="false"] .ot,body.vscode-dark .ot,html[theme="dark"] .ot{{{DARK}}}
"""

CARD = """.ot{background:var(--ot-bg);color:var(--ot-tx);font:13px/1.45 FONT;
font-variant-numeric:tabular-nums;text-align:left;box-sizing:border-box}
.ot *{box-sizing:border-box}
.ot-card{max-width:980px;border:1px solid var(--ot-ln);border-radius:10px;padding:18px 20px 16px;
margin:4px 0}
.ot-h{display:flex;align-items:baseline;flex-wrap:wrap;gap:4px 10px}
.ot-n{font-size:19px;font-weight:650;letter-spacing:-.01em}
.ot-c{font:12px MONO;color:var(--ot-mu);background:var(--ot-p);border:1px solid var(--ot-ln);
border-radius:5px;padding:1px 7px}
.ot-s{color:var(--ot-mu);margin:3px 0 0}
.ot-y{font-size:11px;font-weight:700;letter-spacing:.07em;color:var(--ot-wt);
background:var(--ot-wb);border:1px solid var(--ot-wl);border-radius:5px;padding:1px 8px}
.ot-w{background:var(--ot-wb);color:var(--ot-wt);border-left:3px solid var(--ot-wl);
border-radius:4px;padding:6px 12px;margin:12px 0 0}
.ot-w div{margin:1px 0}.ot-w summary{cursor:pointer}
.ot-k{display:grid;grid-template-columns:repeat(6,minmax(0,1fr));gap:1px;margin:14px 0 6px;
background:var(--ot-ln);border:1px solid var(--ot-ln);border-radius:8px;overflow:hidden}
.ot-k>div{background:var(--ot-bg);padding:9px 12px 10px;cursor:help;min-width:0}
.ot-k b{display:block;font-size:11px;font-weight:500;color:var(--ot-mu);white-space:nowrap}
.ot-k span{display:block;font-size:17px;font-weight:600;letter-spacing:-.01em;white-space:nowrap}
.ot-k small{font-size:11px;font-weight:500;color:var(--ot-mu);letter-spacing:0}
.ot-k .loss,.ot td.loss{color:var(--ot-dn)}.ot-k .gain,.ot td.gain{color:var(--ot-up)}
.ot-t{display:flex;justify-content:space-between;gap:12px;margin:14px 0 2px;font-size:12px;
font-weight:600}
.ot-t i{font-style:normal;font-weight:400;color:var(--ot-mu)}
.ot-svg{display:block;width:100%;height:auto;font-family:FONT}
.ot-svg .g{stroke:var(--ot-ln);fill:none}.ot-svg .t{fill:var(--ot-mu)}
.ot-svg .b{stroke:var(--ot-mu);fill:none}.ot-svg .a{fill:var(--ot-ac);fill-opacity:.1}
.ot-svg .l{stroke:var(--ot-ac);stroke-width:1.5;stroke-linejoin:round}
.ot-svg .e{fill:var(--ot-ac)}.ot-svg .p{stroke:var(--ot-mu);stroke-width:1.1}
.ot-svg .d{fill:var(--ot-dn);stroke:var(--ot-dn)}
.ot-svg .gain{fill:var(--ot-up)}.ot-svg .loss{fill:var(--ot-dn)}
.ot-f{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:2px 16px;font-size:12px;
border-top:1px solid var(--ot-ln);margin:12px 0 0;padding:11px 0 0}
.ot-f dt{color:var(--ot-mu);font-weight:400;margin:0}.ot-f dd{margin:0;overflow-wrap:anywhere}
.ot-f code,.ot pre{font-family:MONO;font-size:11.5px;background:none;color:inherit;padding:0}
@media (max-width:640px){.ot-k{grid-template-columns:repeat(3,minmax(0,1fr))}}
"""

TABLES = """.ot-x{overflow:auto;max-height:460px;border:1px solid var(--ot-ln);border-radius:8px}
.ot-x.all{max-height:none}
.ot table{border-collapse:collapse;width:100%;font-size:12px;margin:0;border:0}
.ot th,.ot td{padding:5px 12px;text-align:right;white-space:nowrap;border:0;
border-bottom:1px solid var(--ot-ln);background:none;color:inherit}
.ot tr:last-child td{border-bottom:0}
.ot th{position:sticky;top:0;background:var(--ot-p);color:var(--ot-mu);font-weight:550;z-index:1}
.ot .l{text-align:left}.ot td.m{color:var(--ot-mu)}.ot td.wrap{white-space:normal}
.ot tbody tr:hover td{background:color-mix(in srgb,var(--ot-ac) 7%,transparent)}
.ot .months th,.ot .months td{text-align:center;padding:6px 4px}
.ot .months td.y{font-weight:650;border-left:1px solid var(--ot-ln)}
.ot td.wrap{min-width:120px}
.ot-note{color:var(--ot-mu);font-size:12px;margin:6px 2px 0}
"""

REPORT = """html,body{margin:0;padding:0}
body.ot{background:var(--ot-bg);padding:30px 20px 60px}
.ot main{max-width:1180px;margin:0 auto}
.ot h1{font-size:27px;font-weight:700;letter-spacing:-.02em;line-height:1.2;margin:0 0 2px}
.ot h2{font-size:21px;font-weight:680;letter-spacing:-.01em;margin:0}
.ot h2 .ot-n{font-size:24px;letter-spacing:-.02em}
.ot h3{font-size:14px;font-weight:650;margin:30px 0 8px;display:flex;gap:10px;align-items:baseline}
.ot h3 i{font-style:normal;font-weight:400;font-size:12px;color:var(--ot-mu)}
.ot section{border-top:1px solid var(--ot-ln);margin-top:38px;padding-top:26px}
.ot .two{display:grid;grid-template-columns:1fr 1fr;gap:0 28px}
.ot .two>div{min-width:0}
.ot pre{white-space:pre-wrap;background:var(--ot-p);border:1px solid var(--ot-ln);
border-radius:8px;padding:12px 14px;margin:0;line-height:1.5;overflow-wrap:anywhere}
.ot a{color:var(--ot-ac);text-decoration:none}.ot a:hover{text-decoration:underline}
.ot footer{border-top:1px solid var(--ot-ln);margin-top:44px;padding-top:12px;
color:var(--ot-mu);font-size:12px}
@media (max-width:860px){.ot .two{grid-template-columns:1fr}}
@media print{.ot-x{max-height:none}.ot section{break-before:page}}
"""


def style(*sheets: str) -> str:
    """Return a style element with the themes and the sheets."""
    text = THEMES + "".join(sheets)
    return f"<style>{text.replace('FONT', FONT).replace('MONO', MONO)}</style>"
