// Tells every moment in the reader's own time; without this script it stands in UTC.
"use strict";

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const two = (number) => String(number).padStart(2, "0");

function tell(element) {
  const at = new Date(element.dateTime);
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const seconds = element.textContent.split(":").length > 2 ? `:${two(at.getSeconds())}` : "";
  element.title = element.textContent;
  element.textContent = `${day} ${two(at.getHours())}:${two(at.getMinutes())}${seconds}`;
}

function tellAll() {
  for (const element of document.querySelectorAll("time[datetime]:not([title])")) tell(element);
  for (const field of document.querySelectorAll("input[name=zone]")) field.value = zone;
}

document.getElementById("zone").textContent = `Times are those of ${zone}.`;
document.addEventListener("htmx:afterSwap", tellAll);
tellAll();
