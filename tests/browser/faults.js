// What is wrong with the looks of this page, for people who read it by whatever means.
() => {
  const faults = [];

  // Nothing is wider than the window.
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) faults.push(`too wide by ${root.scrollWidth - root.clientWidth}`);

  // Buttons are large enough for a thumb.
  for (const one of document.querySelectorAll("button, .button"))
    if (one.offsetParent && one.getBoundingClientRect().height < 34) faults.push(`small: ${one.outerHTML}`);

  // Who can't see the page finds their way.
  if (document.querySelectorAll("h1").length !== 1) faults.push("not one h1");
  if (root.lang !== "en") faults.push("no language");
  for (const name of ["header", "main", "footer"]) if (!document.querySelector(name)) faults.push(`no ${name}`);
  for (const field of document.querySelectorAll("input:not([type=hidden]):not([hidden]), textarea, select"))
    if (!field.labels?.length && !field.getAttribute("aria-label")) faults.push(`no label: ${field.outerHTML}`);
  const name = (one) => one.getAttribute("aria-label") || one.getAttribute("aria-labelledby");
  for (const region of document.querySelectorAll("[role=region], nav, aside"))
    if (!name(region)) faults.push(`no name: ${region.outerHTML.slice(0, 80)}`);
  const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) faults.push(`twice: ${id}`);
  for (const attribute of ["aria-labelledby", "aria-describedby"])
    for (const one of document.querySelectorAll(`[${attribute}]`))
      for (const id of one.getAttribute(attribute).split(" "))
        if (!document.getElementById(id)) faults.push(`nothing is called ${id}`);
  let level = 1;
  for (const one of document.querySelectorAll("h1, h2, h3")) {
    const now = Number(one.tagName[1]);
    if (now > level + 1) faults.push(`a level of headings is left out: ${one.textContent}`);
    level = now;
  }

  // Every text has a contrast of 4.5 at least (WCAG 2.1, 1.4.3).
  const parse = (text) => {
    const numbers = text.match(/[\d.]+/g).map(Number);
    return numbers.length < 4 ? [...numbers, 1] : numbers;
  };
  const over = (top, under) => top.slice(0, 3).map((part, i) => part * top[3] + under[i] * (1 - top[3]));
  const linear = (part) => (part / 255 <= 0.03928 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4);
  const light = (rgb) => 0.2126 * linear(rgb[0]) + 0.7152 * linear(rgb[1]) + 0.0722 * linear(rgb[2]);
  const ground = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour[3] > 0) layers.push(colour);
      if (colour[3] === 1) break;
    }
    return layers.reverse().reduce((under, layer) => over(layer, under), [255, 255, 255]);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.offsetParent) continue;
    const under = ground(element);
    const ink = over(parse(getComputedStyle(element).color), under);
    const [more, less] = [light(ink), light(under)].sort((one, other) => other - one);
    if ((more + 0.05) / (less + 0.05) < 4.5)
      faults.push(`faint: ${element.outerHTML.slice(0, 100)} ${ink} on ${under}`);
  }
  return faults;
}
