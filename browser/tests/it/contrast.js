// The body of a function: what on this page can be read or seen too badly, as [what, contrast].

const parse = colour => {
  const [r, g, b, a = 1] = colour.match(/[\d.]+/g).map(Number);
  return { rgb: [r, g, b], a };
};
const luminance = rgb => {
  const [r, g, b] = rgb.map(value => value / 255).map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const over = (front, back) => front.rgb.map((value, index) => value * front.a + back[index] * (1 - front.a));
const contrast = (one, other) => {
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
};
/** What is seen behind the content of an element. */
const background = element => {
  const chain = [];
  for (let at = element; at; at = at.parentElement) chain.unshift(parse(getComputedStyle(at).backgroundColor));
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  return chain.reduce((below, colour) => over(colour, below), isDark ? [18, 18, 18] : [255, 255, 255]);
};
const isSeen = element => element.checkVisibility() && element.getBoundingClientRect().width > 1;
const low = [];
const check = (what, element, one, other, least) => {
  const found = contrast(one, other);
  if (found < least) low.push([`${what} of ${element.tagName}#${element.id}.${element.className}`, Number(found.toFixed(2))]);
};

for (const element of document.querySelectorAll("body *")) {
  if (!isSeen(element)) continue;
  const style = getComputedStyle(element);
  const behind = background(element);
  const hasText = [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim() !== "");
  if (hasText || element.matches("input, textarea, select")) check("text", element, over(parse(style.color), behind), behind, 4.5);
  if (element.matches("[placeholder]")) {
    const placeholder = getComputedStyle(element, "::placeholder");
    const colour = parse(placeholder.color);
    check("placeholder", element, over({ ...colour, a: colour.a * Number(placeholder.opacity) }, behind), behind, 4.5);
  }
  for (const part of ["::before", "::after"]) {
    const inside = getComputedStyle(element, part);
    if (!["none", "normal", "\"\""].includes(inside.content)) check(part, element, over(parse(inside.color), behind), behind, 4.5);
  }
  const isUsed = element.matches("input:not([type=checkbox], [type=file]), textarea, select, button");
  if (isUsed && parseFloat(style.borderTopWidth) > 0) {
    const around = background(element.parentElement);
    check("border", element, over(parse(style.borderTopColor), around), around, 3);
  }
}
return low;
