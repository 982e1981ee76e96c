// Of each text that is seen: its name, and its contrast with what lies behind it (WCAG 2.2).
() => {
  const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = (colour) => numbers(colour).slice(0, 3).map((level) => level / 255)
    .map((level) => level <= 0.04045 ? level / 12.92 : ((level + 0.055) / 1.055) ** 2.4)
    .reduce((sum, level, place) => sum + level * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = (node) => { for (; node; node = node.parentElement) {
    const colour = getComputedStyle(node).backgroundColor;
    if ((numbers(colour)[3] ?? 1) > 0) return colour; } return "rgb(255, 255, 255)"; };
  const shown = [...document.querySelectorAll("body *")].filter((node) => node.checkVisibility() &&
    !node.disabled && [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim()));
  return shown.map((node) => {
    const [a, b] = [getComputedStyle(node).color, behind(node)].map(light);
    return [node.id || node.textContent, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
  });
}
