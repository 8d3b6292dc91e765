// Thumbnail of the lesion figure while the pointer is over a row or point, or it has the focus.
const thumbnail = find("#thumbnail"), GAP = 14;  // pixels to the pointer
const thumbnailOf = node => node.closest?.("#cohort [data-i], .panel [data-i]");
let waiting = 0;  // timer of a thumbnail that is not yet shown

function showThumbnail(target, x, y) {
  const index = Number(target.dataset.i), row = data.rows[index];
  const path = figures(index).find(figure => figure.includes("_desc-lesion_"));
  const image = path ? element("img", "", {src: path, alt: ""}) : "";
  if (image) image.onerror = () => image.remove();  // the page was moved without the figures
  const volume = place[data.volume];
  thumbnail.replaceChildren(
    element("b", keys[index].trim().replace("\t", " ")), " ",
    element("span", row[place.status], {className: `status ${statusKind(row[place.status])}`}), " ",
    volume === undefined || row[volume] === null ? "" : `${shown(row[volume])} ml`, image);
  thumbnail.hidden = false;
  const {width, height} = thumbnail.getBoundingClientRect();
  const left = x + GAP + width < innerWidth ? x + GAP : Math.max(x - GAP - width, 0);
  const top = y + GAP + height < innerHeight ? y + GAP : Math.max(y - GAP - height, 0);
  thumbnail.style.translate = `${left}px ${top}px`;
}

function hideThumbnail() {
  clearTimeout(waiting);
  thumbnail.hidden = true;
}

document.addEventListener("pointerover", event => {
  const target = thumbnailOf(event.target);
  if (!target || event.buttons) return;
  clearTimeout(waiting);
  waiting = setTimeout(showThumbnail, 150, target, event.clientX, event.clientY);
});
document.addEventListener("pointerout", event => thumbnailOf(event.target) && hideThumbnail());
document.addEventListener("pointerdown", hideThumbnail);
document.addEventListener("focusin", event => {
  const target = thumbnailOf(event.target);
  hideThumbnail();
  if (!target || !event.target.matches(":focus-visible")) return;
  const {right, bottom} = event.target.getBoundingClientRect();
  showThumbnail(target, right, bottom);
});
document.addEventListener("focusout", hideThumbnail);
document.addEventListener("scroll", hideThumbnail, true);
document.addEventListener("keydown", event => event.key === "Escape" && hideThumbnail());
