"""The page at ``/docs``: every route with its parameters, to be tried; nothing is fetched from elsewhere."""

from __future__ import annotations

__all__ = ["HELP_PAGE"]

HELP_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Meterbeam API</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem }
summary { cursor: pointer } code, pre, input { font-family: ui-monospace, monospace }
label { display: block; margin: .2rem 0 } label span { display: inline-block; min-width: 9rem }
pre { background: #f4f4f4; padding: .6rem; overflow: auto; max-height: 24rem }
</style>
<h1>Meterbeam API</h1>
<p>The schema: <a href="openapi.json">openapi.json</a>. A token is sent with the request only.</p>
<label><span>Token</span> <input id="token" type="password" autocomplete="off" size="44"></label>
<div id="routes"></div>
<script>
function make(parent, name, text) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  return parent.appendChild(element);
}
async function ask(path, inputs, out) {
  const query = new URLSearchParams();
  for (const [parameter, input] of inputs) {
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value) query.append(parameter.name, input.value);
  }
  const headers = { Authorization: "Bearer " + document.getElementById("token").value };
  const answer = await fetch(path.slice(1) + (query.size ? "?" + query : ""), { headers });
  const text = await answer.text();
  try { out.textContent = answer.status + "\\n" + JSON.stringify(JSON.parse(text), null, 1); }
  catch { out.textContent = answer.status + "\\n" + text; }
}
fetch("openapi.json").then((answer) => answer.json()).then((schema) => {
  for (const [path, methods] of Object.entries(schema.paths)) {
    const block = make(document.getElementById("routes"), "details");
    make(make(block, "summary"), "code", "GET " + path);
    make(block, "p", methods.get.description || methods.get.summary);
    const inputs = (methods.get.parameters || []).filter((each) => each.in !== "header").map((each) => {
      const line = make(block, "label");
      make(line, "span", each.name + (each.required ? " *" : ""));
      return [each, make(line, "input")];
    });
    const button = make(block, "button", "Ask"), out = make(block, "pre", "");
    button.onclick = () => ask(path, inputs, out);
  }
});
</script>
</html>
"""
