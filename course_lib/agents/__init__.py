"""Agents: a model that acts, and the program around it.

Small files, in the order in which the notebook reads them:

    schemas           tools, described by their own signatures
    calls             calls in what a model wrote
    arguments         do the arguments fit the schema?
    execution         run a tool in a process of its own, with limits (`tool_process`)
    loop              ask, run, show, until an answer or the end of a budget
    event_log         what happened, on disk before the next thing happens
    memory            what of a long conversation the model reads; `costs`
    brains            a script, or a server with OpenAI's API
    policies          may this call run? `dual_model`: two models
    attacks           planted texts, and what each defence stops and costs; `errands`
    json_rpc          requests, notifications, errors
    mcp_server        tools for any client; `mcp_http`, `mcp_command`
    mcp_client        tools of any server; `mcp_channels`, `mcp_versions`
    standard_tools    a calculator; `documentation_search`

These import torch, so import them by name:

    model_brain       a model of this course as a brain; `call_grammar`
    tool_stage        the recipe `assistant-tools`; `tool_tasks`

    agent = Agent(brain, [make_tool(calculator)])
    run = agent.run("What is 38 times 5127?")
    print(run.end, run.answer)

Taught in:        agents
"""

from course_lib.agents.arguments import Problem, argument_problems, is_type
from course_lib.agents.attacks import ATTACKS, DEFENCES, ERRANDS, Attack, Defence, measure
from course_lib.agents.brains import Brain, EndpointBrain, ScriptedBrain, with_calls_as_text
from course_lib.agents.calls import Reply, ToolCall, call_blocks, parse_reply, read_call
from course_lib.agents.costs import tokens_read
from course_lib.agents.documentation_search import search_tool
from course_lib.agents.event_log import EventLog, open_calls, read_events
from course_lib.agents.execution import Limits, ToolResult, run_tool
from course_lib.agents.json_rpc import RpcError, dispatch, dispatch_text
from course_lib.agents.loop import Agent, Budget, Run
from course_lib.agents.mcp_channels import HttpChannel, StdioChannel
from course_lib.agents.mcp_client import McpClient
from course_lib.agents.mcp_server import McpServer
from course_lib.agents.memory import compacted, trimmed
from course_lib.agents.policies import (
    ALLOW_ALL,
    Decision,
    Situation,
    allow_list,
    both,
    stands_in,
    user_words,
)
from course_lib.agents.schemas import Tool, make_tool, tool_schema
from course_lib.agents.standard_tools import calculator

__all__ = [
    "ALLOW_ALL",
    "ATTACKS",
    "DEFENCES",
    "ERRANDS",
    "Agent",
    "Attack",
    "Brain",
    "Budget",
    "Decision",
    "Defence",
    "EndpointBrain",
    "EventLog",
    "HttpChannel",
    "Limits",
    "McpClient",
    "McpServer",
    "Problem",
    "Reply",
    "RpcError",
    "Run",
    "ScriptedBrain",
    "Situation",
    "StdioChannel",
    "Tool",
    "ToolCall",
    "ToolResult",
    "allow_list",
    "argument_problems",
    "both",
    "calculator",
    "call_blocks",
    "compacted",
    "dispatch",
    "dispatch_text",
    "is_type",
    "make_tool",
    "measure",
    "open_calls",
    "parse_reply",
    "read_call",
    "read_events",
    "run_tool",
    "search_tool",
    "stands_in",
    "tokens_read",
    "tool_schema",
    "trimmed",
    "user_words",
    "with_calls_as_text",
]
