// The front page: joins its parts, and asks for a token where the API wants one.

import { Api } from "./api.js";
import { CallList } from "./calls.js";
import { find, setText, showProblem } from "./dom.js";
import { Live } from "./live.js";
import { refreshQueues } from "./queues.js";
import { StartForm } from "./start_form.js";
import { TaskList } from "./tasks.js";
import { settings, words } from "./words.js";

const api = new Api();
const calls = new CallList(find("calls"));
api.addEventListener("call", (event) => calls.add(event.detail));

const tasks = new TaskList({ api, onChange: () => live.lookNow() });
const form = new StartForm({
  api,
  onStart(task) {
    tasks.add(task);
    live.lookNow();
  },
});
let isLoaded = false;
const live = new Live({
  api,
  async look() {
    try {
      if (!isLoaded) {
        await form.load();
        isLoaded = true;
      }
      const [isBusy] = await Promise.all([tasks.refresh(), refreshQueues(api)]);
      showProblem(find("tasks-problem"), null);
      return isBusy;
    } catch (problem) {
      showProblem(find("tasks-problem"), problem);
      throw problem;
    }
  },
  say(text, state) {
    setText(find("live"), text);
    find("live").dataset.state = state;
  },
});

function open() {
  find("gate").hidden = true;
  find("work").hidden = false;
  find("token-used").hidden = !api.hasToken;
  isLoaded = false;
  live.start();
}

function close(reason) {
  live.stop();
  tasks.clear();
  api.forgetToken();
  find("work").hidden = true;
  find("gate").hidden = false;
  setText(find("live"), words.asleep);
  find("live").dataset.state = "asleep";
  showProblem(find("token-problem"), reason ? { message: reason } : null);
  find("token").focus();
}

api.addEventListener("refused", () => close(words.tokenRefused));
find("forget").addEventListener("click", () => close(""));
find("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = find("token");
  const isSane = api.useToken(field.value);
  field.value = "";
  if (isSane) {
    open();
    find("tasks-title").focus();
  } else close(words.tokenRefused);
});

if (settings.isOpen) open();
else close("");
