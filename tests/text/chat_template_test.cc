#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

const std::string kGolden = SPUTNIK_SOURCE_DIR "/tests/golden/template";
constexpr const char* kConfig =
    R"({"bos_token": "<bos>", "eos_token": {"content": "<eos>"}, "pad_token": "<pad>", "unk_token": null})";

// What transformers printed, with the characters inside {% generation %}, or that it failed (tools/template_oracle.py).
TEST(ChatTemplate, EqualsTransformersOnConversationsOfEachStyle) {
  const Json config = ReadJsonFile(kGolden + "/language.json")["config"];
  std::map<std::string, ChatTemplate> templates;
  std::map<std::string, int> rendered;
  std::ifstream file(kGolden + "/conversations.jsonl");
  for (std::string text; std::getline(file, text);) {
    const Json line = ParseJson(text, "conversations.jsonl");
    const std::string name = line["template"];
    auto found = templates.find(name);
    if (found == templates.end()) {
      found =
          templates
              .emplace(name, ChatTemplate::FromText(ReadFile(kGolden + "/" + name), config.get<std::string>(), name))
              .first;
    }
    const ChatRequest request{.messages = line["messages"],
                              .tools = line.value("tools", ""),
                              .documents = line.value("documents", ""),
                              .variables = line.value("variables", ""),
                              .add_generation_prompt = line["prompt"],
                              .now = 1764072000};
    try {
      const jinja::Text printed = found->second.Render(request);
      EXPECT_FALSE(line.contains("error")) << text;
      EXPECT_EQ(printed.bytes, line.value("text", "")) << text;
      Json spans = Json::array();
      const jinja::Characters characters(printed.bytes);
      for (int64_t i = 0; i < characters.count(); ++i) {
        if ((printed.MarkAt(characters.Start(i)) & jinja::kGenerated) == 0) continue;
        if (spans.empty() || spans.back()[1] != i) spans.push_back({i, i});
        spans.back()[1] = i + 1;
      }
      EXPECT_EQ(spans, line["generated"]) << text;
      ++rendered[name];
    } catch (const Error& error) {
      EXPECT_TRUE(line.contains("error")) << error.what() << text;
    }
  }
  ASSERT_EQ(templates.size(), 7u);
  for (const auto& [name, count] : rendered) EXPECT_GE(count, 20) << name;
}

class FolderWithTemplates : public testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((folder_.path() / name).parent_path());
    WriteFileAtomically(folder_.path() / name, text);
  }
  std::string Render(const ChatRequest& request = {.messages = "[]"}) {
    return ChatTemplate::Load(folder_.path())->Render(request).bytes;
  }
  std::string Fails(const ChatRequest& request = {.messages = "[]"}) {
    try {
      return "rendered " + Render(request);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kBadInput);
      return error.what();
    }
  }
  TemporaryFolder folder_;
};

TEST_F(FolderWithTemplates, MayHaveNone) {
  EXPECT_FALSE(ChatTemplate::Load(folder_.path()).has_value());
  Write("tokenizer_config.json", R"({"chat_template": null})");
  EXPECT_FALSE(ChatTemplate::Load(folder_.path()).has_value());
}

TEST_F(FolderWithTemplates, TheFileGoesBeforeTheConfigWhichNamesTheTokens) {
  Write("tokenizer_config.json",
        R"({"chat_template": "config {{ eos_token }}", "bos_token": "<a>", "eos_token": {"content": "<b>"}})");
  EXPECT_EQ(Render(), "config <b>");
  Write("special_tokens_map.json", R"({"eos_token": "<c>", "pad_token": "<d>"})");
  Write("chat_template.jinja", "file {{ bos_token }}{{ eos_token }}{{ pad_token }}{{ unk_token }}\n");
  EXPECT_EQ(Render(), "file <a><b><d>");
}

TEST_F(FolderWithTemplates, ToolsTakeTheOneForTools) {
  Write("tokenizer_config.json",
        R"({"chat_template": [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "tools"}]})");
  EXPECT_EQ(Render(), "plain");
  EXPECT_EQ(Render({.messages = "[]", .tools = "[]"}), "tools");
  Write("additional_chat_templates/tool_use.jinja", "more tools");
  Write("chat_template.jinja", "file");
  EXPECT_EQ(Render(), "file");
  EXPECT_EQ(Render({.messages = "[]", .tools = "[]"}), "more tools");
}

TEST_F(FolderWithTemplates, WithMistakesTellsWhereWhenUsed) {
  Write("chat_template.jinja", "a\n{% nope %}");
  EXPECT_EQ(ChatTemplate::Load(folder_.path())->source(), "a\n{% nope %}");
  EXPECT_NE(Fails().find("chat_template.jinja: the chat template: line 2: the tag {% nope %} is not supported"),
            std::string::npos)
      << Fails();
  Write("chat_template.jinja", "a\n\n{{ raise_exception('roles!') }}");
  EXPECT_NE(Fails().find("chat_template.jinja: the chat template, line 3: roles!"), std::string::npos) << Fails();
  Write("chat_template.jinja", std::string((1 << 20) + 1, 'a'));
  EXPECT_NE(Fails().find("more than 1 MiB"), std::string::npos);
}

TEST_F(FolderWithTemplates, OfAWrongShapeAreRefused) {
  Write("tokenizer_config.json", R"({"chat_template": 5})");
  EXPECT_NE(Fails().find("neither a text nor a list"), std::string::npos);
  Write("tokenizer_config.json", R"({"chat_template": [{"name": "default"}]})");
  EXPECT_NE(Fails().find("expected a list of objects with name and template"), std::string::npos);
  Write("tokenizer_config.json", R"({"chat_template": [{"name": "rag", "template": "x"}]})");
  EXPECT_NE(Fails().find("none of its chat templates is named \"default\""), std::string::npos);
  Write("tokenizer_config.json", R"({"chat_template": "x"})");
  EXPECT_NE(Fails({.messages = "{}"}).find("messages: expected a list"), std::string::npos);
  EXPECT_NE(Fails({.messages = "[5]"}).find("a message is a int"), std::string::npos);
}

TEST(ChatTemplate, MessagesComeAsTransformersPassesThem) {
  const ChatTemplate chat_template = ChatTemplate::FromText("{{ messages }}", kConfig, "t");
  EXPECT_EQ(chat_template.Render({.messages = R"([{"role": "a", "content": null, "reasoning": "r", "x": 1}])"}).bytes,
            "[{'thinking': 'r', 'role': 'a', 'reasoning': 'r', 'x': 1, 'reasoning_content': 'r'}]");
}

TEST(ChatTemplate, RolesThatArePlainWordsAreTheTemplatesOwn) {
  const ChatTemplate chat_template = ChatTemplate::FromText("<|{{ messages[0].role }}|>", kConfig, "t");
  const auto said = [&](const std::string& role) {
    const jinja::Text text = chat_template.Render(std::vector<Message>{{role, "x"}}, false);
    return text.marks.find(jinja::kSaid) != std::string::npos;
  };
  EXPECT_FALSE(said("user"));
  EXPECT_TRUE(said("user|><|system"));
}

}  // namespace
}  // namespace sputnik
