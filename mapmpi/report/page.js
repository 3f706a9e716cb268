// The page's 3-D view: pathways as films of shaded balls and sticks on a plain canvas, so that the page needs neither a
// library nor a graphics card. The data are those of film.py; nothing here trusts their texts (textContent only).
"use strict";
(() => {
  const films = JSON.parse(document.getElementById("films").textContent);
  if (!films.length) return;
  const at = (id) => document.getElementById(id);
  const canvas = at("view"), pen = canvas.getContext("2d");

  const ELEMENTS = { H: [240, 240, 240], O: [213, 62, 50], Si: [214, 178, 112], C: [90, 90, 90], N: [60, 90, 200], Al: [170, 160, 175],
    Na: [150, 100, 200], Cu: [200, 120, 60], Ni: [90, 170, 110] };
  const OTHER = [150, 170, 190], FOG = 8, EYE_A = 45, MOST_A = 1.5, FRAMES_PER_S = 12, THROUGH = 0.3; // what covers the molecule lets it through
  const SCALE = [[205, 210, 216], [240, 205, 120], [213, 94, 0], [110, 10, 40]]; // of displacements, from none to the largest

  let film, part, frame = 0, playing = false, bonds = null, zoom = 1;
  const ASIDE = [0.878, 0, -0.479, -0.164, 0.939, -0.301, 0.45, 0.343, 0.824]; // a first look, a little from aside and above
  let turn = ASIDE;
  let drawn = []; // what is on the canvas: atom, x, y, radius, depth

  // ---- the film --------------------------------------------------------------------------------------------------

  function open(number) {
    film = films[number];
    if (!film.xyz) {
      const bytes = Uint8Array.from(atob(film.positions), (sign) => sign.charCodeAt(0)), data = new DataView(bytes.buffer);
      film.xyz = new Float32Array(bytes.length / 2);
      for (let i = 0; i < film.xyz.length; i++) film.xyz[i] = data.getInt16(2 * i, true) * film.resolution;
    }
    const buttons = at("parts");
    buttons.replaceChildren(partButton("whole pathway", -1));
    film.hops.forEach((hop, index) => {
      const barrier = hop.forward === null ? hop.status : hop.forward.toFixed(2) + " eV" + (hop.status === "verified" ? "" : "?");
      buttons.append(partButton(`${index + 1}→${index + 2}  ${barrier}`, index, hop.name));
    });
    const heights = film.hops.map((hop) => (hop.forward === null ? -1 : hop.forward));
    choose(film.hops.length ? heights.indexOf(Math.max(...heights)) : -1);
  }

  function partButton(text, index, title) {
    const button = document.createElement("button");
    button.textContent = text;
    button.dataset.part = index;
    if (title) button.title = title;
    button.addEventListener("click", () => choose(index));
    return button;
  }

  function choose(index) {
    const last = film.energies.length - 1, hop = film.hops[index];
    part = hop ? { index, first: hop.first, last: hop.last, name: hop.name } : { index: -1, first: 0, last, name: "" };
    for (const button of at("parts").children) button.setAttribute("aria-pressed", String(Number(button.dataset.part) === part.index));
    at("frame").min = part.first;
    at("frame").max = part.last;
    part.most = 0.2;
    for (let f = part.first; f <= part.last; f++) part.most = Math.max(part.most, ...moved(f, part.first));
    part.scale = Math.min(part.most, MOST_A);
    const centers = [];
    for (let f = part.first; f <= part.last; f++) centers.push(mean(film.tagged, f));
    const middle = (axis) => { const all = centers.map((center) => center[axis]); return (Math.min(...all) + Math.max(...all)) / 2; };
    part.center = [0, 1, 2].map(middle);
    part.extent = Math.max(...centers.map((center) => distance(center, part.center)));
    part.near = film.atoms.map((_, atom) => Math.min(...centers.map((center, i) => distance(center, place(part.first + i, atom)))));
    part.away = film.atoms.map((_, atom) => Math.max(...centers.map((_, i) => distance(part.center, place(part.first + i, atom)))));
    show(hop && hop.top !== null ? hop.top : part.first);
  }

  function show(number) {
    frame = Math.min(part.last, Math.max(part.first, number));
    bonds = null;
    at("frame").value = frame;
    draw();
    drawProfile();
    const kind = film.kinds[frame] === "image" ? "on the way" : film.kinds[frame] === "saddle" ? "transition state" : "minimum";
    at("caption").textContent =
      `${kind}, ${film.energies[frame].toFixed(2)} eV, ${film.way[frame].toFixed(2)} Å along the way` + (part.name ? ` · moves: ${part.name}` : "");
  }

  const place = (f, atom) => { const i = 3 * (f * film.atoms.length + atom); return [film.xyz[i], film.xyz[i + 1], film.xyz[i + 2]]; };
  const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
  const symbol = (atom) => film.elements[film.atoms[atom][1]].symbol;

  function mean(atoms, f) {
    const sum = [0, 0, 0];
    for (const atom of atoms) place(f, atom).forEach((value, axis) => { sum[axis] += value / atoms.length; });
    return sum;
  }

  function moved(f, from) { return film.atoms.map((_, atom) => distance(place(f, atom), place(from, atom))); }

  function closestSilicon() {
    const center = mean(film.tagged, frame);
    let best = null;
    film.atoms.forEach((_, atom) => {
      if (symbol(atom) !== "Si" || film.tagged.includes(atom)) return;
      const apart = distance(center, place(frame, atom));
      if (!best || apart < best.apart) best = { atom, apart };
    });
    return best;
  }

  // ---- drawing ---------------------------------------------------------------------------------------------------

  const sprites = new Map();

  function mixed(colour, other, share) { return colour.map((value, i) => Math.round(value + (other[i] - value) * share)); }

  const css = (colour) => `rgb(${colour.join(",")})`;

  function sprite(colour, fog) { // a shaded ball, made once for each colour and depth
    const key = colour.join() + "/" + fog;
    if (!sprites.has(key)) {
      const ball = document.createElement("canvas"), brush = ball.getContext("2d"), haze = (0.75 * fog) / FOG;
      ball.width = ball.height = 96;
      const light = brush.createRadialGradient(36, 33, 4, 48, 48, 46);
      light.addColorStop(0, css(mixed(mixed(colour, [255, 255, 255], 0.75), [255, 255, 255], haze)));
      light.addColorStop(0.45, css(mixed(colour, [255, 255, 255], haze)));
      light.addColorStop(1, css(mixed(mixed(colour, [0, 0, 0], 0.45), [255, 255, 255], haze)));
      brush.fillStyle = light;
      brush.beginPath();
      brush.arc(48, 48, 46, 0, 2 * Math.PI);
      brush.fill();
      sprites.set(key, ball);
    }
    return sprites.get(key);
  }

  function scaled(share) { // a colour of the scale of displacements, in steps that sprites can be kept for
    const x = (Math.round(Math.min(1, Math.max(0, share)) * 24) / 24) * (SCALE.length - 1), low = Math.min(SCALE.length - 2, Math.floor(x));
    return mixed(SCALE[low], SCALE[low + 1], x - low);
  }

  function colours() {
    if (at("colour").value === "element") return film.atoms.map((_, atom) => ELEMENTS[symbol(atom)] || OTHER);
    return moved(frame, part.first).map((length) => scaled(length / part.scale));
  }

  function bonded(shown) {
    const pairs = [];
    for (let i = 0; i < shown.length; i++) {
      const first = film.elements[film.atoms[shown[i]][1]], here = place(frame, shown[i]);
      for (let j = i + 1; j < shown.length; j++) {
        const second = film.elements[film.atoms[shown[j]][1]];
        if (first.symbol === "H" && second.symbol === "H") continue;
        if (distance(here, place(frame, shown[j])) < 1.2 * (first.radius + second.radius)) pairs.push([shown[i], shown[j]]);
      }
    }
    return pairs;
  }

  function draw() {
    const width = canvas.clientWidth, height = canvas.clientHeight, ratio = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, width, height);
    const reach = Number(at("reach").value);
    const shown = film.atoms.map((_, atom) => atom).filter((atom) => part.near[atom] <= reach || film.molecule.includes(atom));
    const span = Math.min(reach + 0.7 * part.extent, Math.max(...shown.map((atom) => part.away[atom])) + 1); // a small molecule fills the view, too
    const unit = (zoom * Math.min(width, height)) / (2 * span); // pixels of an Å
    const paint = colours(), points = [];
    const project = (point) => {
      const [x, y, z] = point.map((value, axis) => value - part.center[axis]);
      const [a, b, c] = [0, 3, 6].map((row) => turn[row] * x + turn[row + 1] * y + turn[row + 2] * z);
      const scale = (unit * EYE_A) / (EYE_A - c);
      return { x: width / 2 + a * scale, y: height / 2 - b * scale, z: c, scale };
    };
    for (const atom of shown) points[atom] = project(place(frame, atom));
    const fog = (z) => Math.round(Math.min(1, Math.max(0, 0.5 - z / (2 * reach))) * FOG);
    bonds = bonds || { reach, pairs: bonded(shown) };
    if (bonds.reach !== reach) bonds = { reach, pairs: bonded(shown) };
    const items = shown.map((atom) => ({ z: points[atom].z, atom }));
    const radius = (atom) => 0.2 + 0.27 * film.elements[film.atoms[atom][1]].radius; // Å
    for (const [i, j] of bonds.pairs) {
      const long = distance(place(frame, i), place(frame, j));
      for (const [from, to] of [[i, j], [j, i]]) { // half a stick from the surface of each ball
        const start = between(points[from], points[to], (0.85 * radius(from)) / long), end = between(points[from], points[to], 0.5);
        items.push({ z: (start.z + end.z) / 2, start, end, colour: paint[from] });
      }
    }
    items.sort((one, other) => one.z - other.z);
    drawn = [];
    const hides = (spot, size) => film.molecule.some((atom) => points[atom].z < spot.z
      && Math.hypot(points[atom].x - spot.x, points[atom].y - spot.y) < size + radius(atom) * points[atom].scale);
    for (const item of items) {
      const own = film.molecule.includes(item.atom), spot = item.atom === undefined ? between(item.start, item.end, 0.5) : points[item.atom];
      const across = item.atom === undefined ? Math.hypot(item.end.x - item.start.x, item.end.y - item.start.y) / 2 : radius(item.atom) * spot.scale;
      pen.globalAlpha = !own && hides(spot, across) ? THROUGH : 1;
      if (item.atom === undefined) { stick(item.start, item.end, item.colour, fog(item.z)); continue; }
      const point = points[item.atom], size = radius(item.atom) * point.scale;
      pen.drawImage(sprite(paint[item.atom], fog(point.z)), point.x - size, point.y - size, 2 * size, 2 * size);
      if (own) ring(point, size, "#111", 1.8);
      drawn.push({ atom: item.atom, x: point.x, y: point.y, radius: size });
    }
    pen.globalAlpha = 1;
    markSilicon(points, project);
    drawAxes(height);
    drawScale(width);
  }

  function ring(point, radius, colour, thickness) {
    pen.strokeStyle = colour;
    pen.lineWidth = thickness;
    pen.beginPath();
    pen.arc(point.x, point.y, radius, 0, 2 * Math.PI);
    pen.stroke();
  }

  function between(from, to, share) {
    const mix = (name) => from[name] + (to[name] - from[name]) * share;
    return { x: mix("x"), y: mix("y"), z: mix("z"), scale: mix("scale") };
  }

  function stick(start, end, colour, fog) {
    pen.lineWidth = 0.17 * start.scale;
    pen.strokeStyle = css(mixed(mixed(colour, [0, 0, 0], 0.22), [255, 255, 255], (0.75 * fog) / FOG));
    pen.beginPath();
    pen.moveTo(start.x, start.y);
    pen.lineTo(end.x, end.y);
    pen.stroke();
  }

  function label(text, x, y, align) {
    pen.font = "13px system-ui, sans-serif";
    pen.textAlign = align;
    pen.lineWidth = 4;
    pen.strokeStyle = "#fff";
    pen.strokeText(text, x, y);
    pen.fillStyle = "#111";
    pen.fillText(text, x, y);
  }

  function markSilicon(points, project) {
    const found = closestSilicon();
    at("silicon").textContent = found ? `Closest Si: atom ${film.atoms[found.atom][0]}, ${found.apart.toFixed(2)} Å from the pulled atoms.` : "";
    if (!found) return;
    const from = project(mean(film.tagged, frame)), to = points[found.atom] || project(place(frame, found.atom));
    pen.setLineDash([5, 4]);
    pen.strokeStyle = "#0072B2";
    pen.lineWidth = 2;
    pen.beginPath();
    pen.moveTo(from.x, from.y);
    pen.lineTo(to.x, to.y);
    pen.stroke();
    pen.setLineDash([]);
    ring(to, 0.6 * to.scale, "#0072B2", 2.5);
    label(`Si ${film.atoms[found.atom][0]}  ${found.apart.toFixed(2)} Å`, to.x + 0.7 * to.scale, to.y - 0.4 * to.scale, "left");
  }

  function drawAxes(height) {
    ["x", "y", "z"].forEach((name, axis) => {
      const x = 34 + 24 * turn[axis], y = height - 34 - 24 * turn[3 + axis];
      pen.strokeStyle = "#888";
      pen.lineWidth = 1.5;
      pen.beginPath();
      pen.moveTo(34, height - 34);
      pen.lineTo(x, y);
      pen.stroke();
      label(name, x + 6 * turn[axis], y - 6 * turn[3 + axis] + 4, "center");
    });
  }

  function drawScale(width) {
    if (at("colour").value === "element") {
      let x = 14;
      for (const element of film.elements) {
        pen.drawImage(sprite(ELEMENTS[element.symbol] || OTHER, 0), x, 12, 18, 18);
        label(element.symbol, x + 23, 26, "left");
        x += 58;
      }
      return;
    }
    const long = Math.min(180, Math.max(130, width / 3)), steps = 32;
    for (let i = 0; i < steps; i++) {
      pen.fillStyle = css(scaled(i / (steps - 1)));
      pen.fillRect(14 + (i * long) / steps, 14, long / steps + 0.6, 10);
    }
    label("0", 14, 40, "left");
    label(`moved ${part.most > part.scale ? "≥ " : ""}${part.scale.toFixed(2)} Å`, 14 + long, 40, "right");
  }

  // ---- the profile -----------------------------------------------------------------------------------------------

  const NS = "http://www.w3.org/2000/svg", profile = at("profile");

  function piece(name, attributes, text) {
    const made = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function ticks(low, high, most) {
    const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough || 1));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough) || 10 * power, found = [];
    for (let value = Math.ceil(low / step) * step; value <= high + 1e-9 * step; value += step) found.push(Math.abs(value) < 1e-9 * step ? 0 : value);
    return { found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
  }

  let axes = null;

  function drawProfile() {
    const width = profile.clientWidth || 600, height = profile.clientHeight || 240, before = film.before;
    const high = Math.max(...film.energies), low = Math.min(...film.energies), span = Math.max(high - low, 0.05);
    const stored = before ? before.energies : [];
    const bottom = Math.max(low - span, Math.min(low, ...stored)) - 0.06 * span, top = Math.min(high + 1.2 * span, Math.max(high, ...stored)) + 0.16 * span;
    const ways = film.way.concat(before ? before.way : []), left = Math.min(...ways), right = Math.max(...ways, left + 0.1);
    const x = (value) => 52 + ((value - left) / (right - left)) * (width - 68), y = (value) => height - 40 - ((value - bottom) / (top - bottom)) * (height - 52);
    axes = { x, y };
    profile.setAttribute("viewBox", `0 0 ${width} ${height}`);
    profile.replaceChildren();
    const clip = piece("clipPath", { id: "inside" });
    clip.append(piece("rect", { x: 46, y: 4, width: width - 50, height: height - 40 }));
    profile.append(clip);
    const vertical = ticks(bottom, top, height / 45), horizontal = ticks(left, right, width / 80);
    for (const value of vertical.found) {
      profile.append(piece("line", { x1: 52, x2: width - 10, y1: y(value), y2: y(value), class: "grid" }));
      profile.append(piece("text", { x: 46, y: y(value) + 4, "text-anchor": "end" }, value.toFixed(vertical.digits)));
    }
    for (const value of horizontal.found) profile.append(piece("text", { x: x(value), y: height - 22, "text-anchor": "middle" }, value.toFixed(horizontal.digits)));
    profile.append(piece("text", { x: width / 2, y: height - 4, "text-anchor": "middle" }, "way of the pulled atoms (Å)"));
    profile.append(piece("text", { x: 13, y: height / 2 - 16, "text-anchor": "middle", transform: `rotate(-90 13 ${height / 2 - 16})` }, "energy (eV)"));
    const inside = piece("g", { "clip-path": "url(#inside)" });
    profile.append(inside);
    const line = (way, energies, name) => inside.append(piece("polyline", { class: name, points: way.map((value, i) => `${x(value).toFixed(1)},${y(energies[i]).toFixed(1)}`).join(" ") }));
    if (before) line(before.way, before.energies, "before");
    film.hops.forEach((hop) => {
      const slice = (list) => list.slice(hop.first, hop.last + 1);
      line(slice(film.way), slice(film.energies), hop.status === "no saddle" ? "missing" : "after");
    });
    if (part.index >= 0) line(film.way.slice(part.first, part.last + 1), film.energies.slice(part.first, part.last + 1), "chosen");
    film.kinds.forEach((kind, i) => {
      if (kind === "basin") inside.append(piece("circle", { cx: x(film.way[i]), cy: y(film.energies[i]), r: 4, class: "basin" }));
    });
    const labels = []; // the higher barriers first: of two that would overlap the lower one has none
    for (const hop of film.hops.filter((one) => one.top !== null).sort((one, other) => other.forward - one.forward)) {
      const cx = x(film.way[hop.top]), cy = y(film.energies[hop.top]);
      inside.append(piece("path", { d: `M${cx} ${cy - 6}l6 10h-12z`, class: hop.status === "verified" ? "saddle" : "saddle doubtful" }));
      if (labels.some((one) => Math.abs(one[0] - cx) < 28 && Math.abs(one[1] - cy) < 13)) continue;
      labels.push([cx, cy]);
      inside.append(piece("text", { x: cx, y: cy - 10, "text-anchor": "middle", class: "barrier" }, hop.forward.toFixed(2)));
    }
    inside.append(piece("circle", { cx: x(film.way[frame]), cy: y(film.energies[frame]), r: 7, class: "here" }));
  }

  profile.addEventListener("click", (event) => {
    const box = profile.getBoundingClientRect(), px = event.clientX - box.left, py = event.clientY - box.top;
    const apart = film.way.map((value, i) => Math.hypot(axes.x(value) - px, axes.y(film.energies[i]) - py));
    const nearest = apart.indexOf(Math.min(...apart));
    if (nearest < part.first || nearest > part.last) choose(film.hops.findIndex((hop) => hop.first <= nearest && nearest <= hop.last));
    show(nearest);
  });

  // ---- what the reader does --------------------------------------------------------------------------------------

  function rotate(right, up) { // about the screen's axes, in radians
    const [c, s, d, t] = [Math.cos(right), Math.sin(right), Math.cos(up), Math.sin(up)];
    const by = [c, 0, s, t * s, d, -t * c, -d * s, t, d * c], old = turn;
    turn = by.map((_, i) => [0, 1, 2].reduce((sum, k) => sum + by[3 * Math.floor(i / 3) + k] * old[3 * k + (i % 3)], 0));
    draw();
  }

  const pointers = new Map();
  canvas.addEventListener("pointerdown", (event) => { pointers.set(event.pointerId, [event.clientX, event.clientY]); canvas.setPointerCapture(event.pointerId); });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => pointers.delete(event.pointerId));
  canvas.addEventListener("pointermove", (event) => {
    const last = pointers.get(event.pointerId);
    if (!last) { hover(event); return; }
    const spread = () => { const [a, b] = [...pointers.values()]; return Math.hypot(a[0] - b[0], a[1] - b[1]); };
    const old = pointers.size === 2 ? spread() : 0;
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    if (pointers.size === 2) magnify(spread() / Math.max(old, 1));
    else rotate((event.clientX - last[0]) * 0.01, (event.clientY - last[1]) * 0.01);
  });
  canvas.addEventListener("wheel", (event) => { // the page scrolls until the view was clicked
    if (document.activeElement !== canvas) return;
    event.preventDefault();
    magnify(Math.exp(-event.deltaY * 0.001));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[event.key];
    if (step) { event.preventDefault(); rotate(...step); }
    if (event.key === "+" || event.key === "-") magnify(event.key === "+" ? 1.1 : 1 / 1.1);
  });

  function magnify(factor) { zoom = Math.min(8, Math.max(0.3, zoom * factor)); draw(); }

  function hover(event) {
    const box = canvas.getBoundingClientRect(), px = event.clientX - box.left, py = event.clientY - box.top;
    const hit = drawn.filter((one) => Math.hypot(one.x - px, one.y - py) <= one.radius).pop();
    at("hover").textContent = hit ? `${symbol(hit.atom)}, atom ${film.atoms[hit.atom][0]}, moved ${distance(place(frame, hit.atom), place(part.first, hit.atom)).toFixed(2)} Å` : "";
  }

  function play(on) {
    playing = on;
    at("play").textContent = on ? "❚❚ pause" : "▶ play";
    let last = 0;
    const step = (now) => {
      if (!playing) return;
      if (now - last > 1000 / FRAMES_PER_S) { last = now; show(frame >= part.last ? part.first : frame + 1); }
      requestAnimationFrame(step);
    };
    if (on) requestAnimationFrame(step);
  }

  at("play").addEventListener("click", () => play(!playing));
  at("back").addEventListener("click", () => { play(false); show(frame - 1); });
  at("on").addEventListener("click", () => { play(false); show(frame + 1); });
  at("frame").addEventListener("input", () => { play(false); show(Number(at("frame").value)); });
  at("colour").addEventListener("change", draw);
  at("reach").addEventListener("input", () => { at("far").textContent = `${at("reach").value} Å`; draw(); });
  at("reset").addEventListener("click", () => { turn = ASIDE; zoom = 1; draw(); });
  at("picture").addEventListener("click", () => {
    const link = document.createElement("a");
    link.download = `${film.name}-${frame}.png`;
    link.href = canvas.toDataURL("image/png");
    link.click();
  });
  at("pathway").addEventListener("change", () => { play(false); open(Number(at("pathway").value)); });
  for (const button of document.querySelectorAll("button[data-film]")) {
    button.addEventListener("click", () => {
      at("pathway").value = button.dataset.film;
      open(Number(button.dataset.film));
      choose(Number(button.dataset.hop));
      at("structure").scrollIntoView();
    });
  }
  new ResizeObserver(() => { draw(); drawProfile(); }).observe(canvas);
  open(0);
})();
