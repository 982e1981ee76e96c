// The camera of the page: an image of what it sees.

const at = (id) => document.getElementById(id);
let stream = null;

export function prepareCamera(give, say) {
  at("camera").addEventListener("click", () => open(say));
  at("close").addEventListener("click", close);
  at("take").addEventListener("click", async () => give(await take()));
  at("video").addEventListener("playing", () => { at("take").disabled = false; at("take").focus(); });
}

async function open(say) {
  if (!navigator.mediaDevices) return at("shot").click(); // without https the phone's own camera app does it
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1920 } } });
    at("video").srcObject = stream;
    at("live").hidden = false;
  } catch (error) {
    say(`The camera cannot be used: ${error.message}`);
  }
}

function close() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = at("video").srcObject = null;
  at("take").disabled = true;
  at("live").hidden = true;
  at("camera").focus();
}

async function take() {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [at("video").videoWidth, at("video").videoHeight];
  canvas.getContext("2d").drawImage(at("video"), 0, 0);
  const content = await new Promise((done) => canvas.toBlob(done, "image/png")); // without loss: the model sees what was taken
  return new File([content], `camera ${new Date().toLocaleTimeString()}.png`, { type: "image/png" });
}
