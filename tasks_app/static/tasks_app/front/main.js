// The front page: connects its parts, and asks for a token if the API requires one.

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

const tasks = new TaskList({ api, onChange: () => live.refreshNow() });
const form = new StartForm({
  api,
  onStart(task) {
    tasks.add(task);
    live.refreshNow();
  },
});
let isLoaded = false;
const live = new Live({
  api,
  async refresh() {
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
  showState(text, state) {
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
  const isValid = api.useToken(field.value);
  field.value = "";
  if (isValid) {
    open();
    find("tasks-title").focus();
  } else close(words.tokenRefused);
});

if (settings.isOpen) open();
else close("");
