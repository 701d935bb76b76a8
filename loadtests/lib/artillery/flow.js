// Owns what one virtual user does: a scenario's flow, step by step. An exception ends the virtual user as failed.
import { isBlock, listOf, methodOf } from './steps.js';
import { toSeconds } from './durations.js';
import { FailedVuser, prepareRequest, sendRequest } from './request.js';
import { lookUp, render } from './template.js';

const REQUEST_SECONDS = 0.25;

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function loopBounds({ count, variables }) {
  const rendered = String(render(count, variables));
  const range = /^(\d+)-(\d+)$/.exec(rendered);
  const from = range ? Number(range[1]) : 0;
  const to = range ? Number(range[2]) : Number(rendered);
  if (!Number.isInteger(to) || to < 0) {
    throw new FailedVuser(`loop count ${JSON.stringify(count)} is ${rendered}: give a whole number or a range like "1-15"`);
  }
  return { from, to };
}

// Artillery's loop: its steps, `count` times, or once for each value of a list.
function compileLoop(step) {
  const runSteps = compileFlow(listOf(step.loop));
  const countName = step.loopValue || '$loopCount';
  const elementName = step.loopElement || '$loopElement';
  return async (user) => {
    const { variables } = user;
    const found = typeof step.over === 'string' ? lookUp(step.over, variables) : step.over;
    const values = step.over === undefined ? undefined : Array.isArray(found) ? found : [];
    const { from, to } = values ? { from: 0, to: values.length } : loopBounds({ count: step.count === undefined ? 1 : step.count, variables });
    for (let i = from; i < to; i += 1) {
      variables[countName] = i;
      variables[elementName] = values ? values[i] : i;
      await runSteps(user);
    }
  };
}

// The document's loop. Artillery does not have these words; the text beside them explains: "the load (requests per second)
// is raised gradually". Therefore: `count` steps, each `increment` requests per second above the previous one, each held
// for `holdFor` seconds; count 4, increment 2, holdFor 10 sends 2, 4, 6 and 8 a second, ten seconds each: 200. The flow
// starts at fixed times, not after the last answer; otherwise a slow system would lower the load that should find its
// limit. For the same reason a failed flow fails the virtual user only after the last step.
function compileRisingBlock(block) {
  const runSteps = compileFlow(block.flow);
  const holdMs = toSeconds({ value: block.holdFor === undefined ? 1 : block.holdFor, name: 'holdFor' }) * 1000;
  return async (user) => {
    const running = [];
    let failure;
    let number = 0;
    for (let step = 1; step <= block.count; step += 1) {
      const rate = step * block.increment;
      const startedAt = Date.now();
      for (let i = 0; i < Math.floor((rate * holdMs) / 1000 + 1e-6); i += 1) {
        const early = startedAt + (i * 1000) / rate - Date.now();
        if (early > 0) {
          await pause(early);
        }
        const one = { settings: user.settings, variables: { ...user.variables, $loopCount: number }, concurrent: true };
        number += 1;
        running.push(
          runSteps(one).catch((error) => {
            failure = error;
          }),
        );
      }
      await pause(Math.max(0, startedAt + holdMs - Date.now()));
    }
    await Promise.all(running);
    if (failure !== undefined) {
      throw failure;
    }
  };
}

function compileBlock(block) {
  return block.increment === undefined ? compileLoop({ loop: block.flow, count: block.count }) : compileRisingBlock(block);
}

function compileStep(step) {
  if (isBlock(step)) {
    return compileBlock(step);
  }
  if (step.loop !== undefined) {
    return compileLoop(step);
  }
  if (step.think !== undefined) {
    return ({ variables }) => pause(toSeconds({ value: render(step.think, variables), name: 'think' }) * 1000);
  }
  if (step.log !== undefined) {
    return async ({ variables }) => console.log(render(step.log, variables));
  }
  const method = methodOf(step);
  const prepared = prepareRequest({ method, request: step[method] });
  return ({ settings, variables, concurrent }) => sendRequest({ prepared, settings, variables, concurrent });
}

export function compileFlow(flow) {
  const steps = flow.map(compileStep);
  return async (user) => {
    for (const step of steps) {
      await step(user);
    }
  };
}

function countOf(count) {
  const last = Number(String(count).split('-').pop());
  return Number.isFinite(last) ? last : 1;
}

// The approximate duration of a flow with a responsive system: determines the number of prepared virtual users.
export function estimateSeconds(flow) {
  return flow.reduce((sum, step) => {
    if (isBlock(step) && step.increment !== undefined) {
      return sum + step.count * toSeconds({ value: step.holdFor === undefined ? 1 : step.holdFor, name: 'holdFor' });
    }
    if (isBlock(step)) {
      return sum + step.count * estimateSeconds(step.flow);
    }
    if (step.loop !== undefined) {
      const times = Array.isArray(step.over) ? step.over.length : countOf(step.count === undefined ? 1 : step.count);
      return sum + times * estimateSeconds(listOf(step.loop));
    }
    if (step.think !== undefined) {
      return sum + (String(step.think).includes('{{') ? 1 : toSeconds({ value: step.think, name: 'think' }));
    }
    return step.log === undefined ? sum + REQUEST_SECONDS : sum;
  }, 0);
}
