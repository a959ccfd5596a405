//! One walk over a parsed file that gathers its [`Facts`].
//!
//! What stands inside a macro is not an expression to `syn`, only tokens, so the walk reads those as tokens: paths,
//! method calls, `async`, `await`, definitions and nested `select!`s look the same there.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};

use super::facts::{Attribute, Facts, Imports, Logic, Mention, Select, Word};

/// Collects the facts of one file. `test` says whether the whole file is a test (it stands in `tests/` or `benches/`).
pub(super) fn collect(file: &syn::File, test: bool) -> Facts {
    let mut collector = Collector {
        facts: Facts::default(),
        imports: Imports::default(),
        raw: Vec::new(),
        test,
        shown: false,
    };
    collector.facts.tests_begin =
        closing_tests(&file.items).map(|tests| first_line(&tests.attrs, tests.mod_token.span));
    collector.facts.logic = file.items.iter().filter_map(logic).collect();
    collector.visit_file(file);
    collector.finish()
}

struct Collector {
    facts: Facts,
    imports: Imports,
    /// Mentions as written, before the imports are known.
    raw: Vec<Mention>,
    test: bool,
    /// Whether what is walked now is shown by a `pub` item.
    shown: bool,
}

impl Collector {
    fn finish(self) -> Facts {
        let Self { mut facts, imports, raw, .. } = self;
        for mention in raw {
            let meanings = imports.meanings(&mention.path, mention.test);
            facts.mentions.extend(meanings.into_iter().map(|path| Mention { path, ..mention }));
        }
        facts
    }

    fn mention(&mut self, mut path: Vec<String>, span: Span, import: bool) {
        if let Some(first) = path.first_mut()
            && (first == "core" || first == "alloc")
        {
            "std".clone_into(first);
        }
        let (line, test, shown) = (line(span), self.test, self.shown);
        self.raw.push(Mention { path, line, test, import, shown });
    }

    fn word(&self, text: impl ToString, span: Span) -> Word {
        Word { text: text.to_string(), line: line(span), test: self.test }
    }

    fn name(&mut self, ident: &syn::Ident) {
        let word = self.word(ident, ident.span());
        self.facts.names.push(word);
    }

    fn wait(&mut self, text: &str, span: Span) {
        let word = self.word(text, span);
        self.facts.waits.push(word);
    }

    fn import(&mut self, tree: &syn::UseTree, parents: &[String]) {
        let below =
            |ident: &syn::Ident| parents.iter().cloned().chain([ident.to_string()]).collect::<Vec<_>>();
        match tree {
            syn::UseTree::Path(path) => self.import(&path.tree, &below(&path.ident)),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.import(item, parents)),
            syn::UseTree::Glob(glob) => {
                let path = parents.iter().cloned().chain(["*".to_owned()]).collect();
                self.mention(path, glob.star_token.spans[0], true);
            }
            syn::UseTree::Name(name) => self.bring(below(&name.ident), parents, &name.ident),
            syn::UseTree::Rename(rename) => {
                let path = if rename.ident == "self" { parents.to_vec() } else { below(&rename.ident) };
                self.bring(path, parents, &rename.rename);
            }
        }
    }

    /// Notes that `name` stands for `path` from here on (`use a::b::{self}` brings in `b`).
    fn bring(&mut self, path: Vec<String>, parents: &[String], name: &syn::Ident) {
        let (path, brought) = match parents.last() {
            Some(parent) if name == "self" => (parents.to_vec(), parent.clone()),
            _ => (path, name.to_string()),
        };
        self.mention(path.clone(), name.span(), true);
        self.imports.add(brought, self.test, path);
    }

    /// Notes a macro the rules care for: `select!`, and `cfg!`, which is as good as the attribute.
    fn call(&mut self, name: &str, inside: &TokenStream, span: Span) {
        match name {
            "select" => self.select(inside, span),
            "cfg" => {
                let mut words = Vec::new();
                idents(inside.clone(), &mut words);
                let name = name.to_owned();
                self.facts.attributes.push(Attribute { name, line: line(span), words, on_tests: false });
            }
            _ => {}
        }
    }

    fn select(&mut self, inside: &TokenStream, span: Span) {
        let first: Vec<String> = inside.clone().into_iter().take(2).map(|token| token.to_string()).collect();
        let biased = first == ["biased", ";"];
        self.facts.selects.push(Select { line: line(span), biased });
    }

    fn tokens(&mut self, stream: TokenStream) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let mut rest = tokens.as_slice();
        let mut before: Option<&TokenTree> = None;
        while let [token, tail @ ..] = rest {
            rest = tail;
            match token {
                TokenTree::Ident(ident) => rest = self.token_path(ident, before, tail),
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            before = Some(token);
        }
    }

    /// Reads the path that starts at `first` and returns what follows it.
    fn token_path<'t>(
        &mut self,
        first: &proc_macro2::Ident,
        before: Option<&TokenTree>,
        mut rest: &'t [TokenTree],
    ) -> &'t [TokenTree] {
        if first == "async" || first == "await" {
            self.wait(&first.to_string(), first.span());
        }
        if called_on_a_value(before) {
            let word = self.word(first, first.span());
            self.facts.methods.push(word);
            return rest;
        }
        if let Some(TokenTree::Ident(keyword)) = before
            && DEFINING.iter().any(|word| keyword == word)
        {
            self.name(first);
        }
        let mut path = vec![first.to_string()];
        while let [TokenTree::Punct(a), TokenTree::Punct(b), TokenTree::Ident(next), tail @ ..] = rest
            && a.as_char() == ':'
            && b.as_char() == ':'
        {
            path.push(next.to_string());
            rest = tail;
        }
        if let [TokenTree::Punct(bang), TokenTree::Group(group), ..] = rest
            && bang.as_char() == '!'
            && let Some(name) = path.last()
        {
            self.call(name, &group.stream(), first.span());
        }
        self.mention(path, first.span(), false);
        rest
    }

    /// Walks the inside of a module or item that is only compiled for tests.
    fn in_test(&mut self, walk: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.test, true);
        walk(self);
        self.test = outer;
    }

    /// Walks what is shown outside if `shown` holds.
    fn showing(&mut self, shown: bool, walk: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.shown, shown);
        walk(self);
        self.shown = outer;
    }

    fn attribute(&mut self, attribute: &syn::Attribute, on_tests: bool) {
        if attribute.path().is_ident("doc") {
            return;
        }
        let name = segments(attribute.path()).join("::");
        let mut words = Vec::new();
        if let syn::Meta::List(list) = &attribute.meta {
            idents(list.tokens.clone(), &mut words);
            self.tokens(list.tokens.clone());
        }
        let line = line(attribute.pound_token.spans[0]);
        self.facts.attributes.push(Attribute { name, line, words, on_tests });
    }
}

fn called_on_a_value(before: Option<&TokenTree>) -> bool {
    matches!(before, Some(TokenTree::Punct(dot)) if dot.as_char() == '.')
}

/// Words after which a macro's tokens define a name.
const DEFINING: [&str; 6] = ["struct", "enum", "trait", "fn", "mod", "type"];

impl<'ast> Visit<'ast> for Collector {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        if let Some(first) = path.segments.first() {
            self.mention(segments(path), first.ident.span(), false);
        }
        visit::visit_path(self, path);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        item.attrs.iter().for_each(|attribute| self.attribute(attribute, false));
        self.showing(is_pub(&item.vis), |this| this.import(&item.tree, &[]));
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        let name = item.rename.as_ref().map_or(&item.ident, |(_, name)| name);
        self.bring(vec![item.ident.to_string()], &[], name);
        visit::visit_item_extern_crate(self, item);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if let Some(last) = call.path.segments.last() {
            self.call(&last.ident.to_string(), &call.tokens, last.ident.span());
        }
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        self.attribute(attribute, false);
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.name(&module.ident);
        let begin = first_line(&module.attrs, module.mod_token.span);
        let closing = self.facts.tests_begin == Some(begin);
        module.attrs.iter().for_each(|attribute| self.attribute(attribute, closing));
        let walk = |this: &mut Self| {
            module.content.iter().flat_map(|(_, items)| items).for_each(|item| this.visit_item(item));
        };
        if closing { self.in_test(walk) } else { walk(self) }
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.name(&item.ident);
        let shown = is_pub(&item.vis);
        item.attrs.iter().for_each(|attribute| self.visit_attribute(attribute));
        self.showing(shown, |this| this.visit_generics(&item.generics));
        for field in &item.fields {
            self.showing(shown && is_pub(&field.vis), |this| this.visit_field(field));
        }
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.name(&item.ident);
        self.showing(is_pub(&item.vis), |this| visit::visit_item_enum(this, item));
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.name(&item.ident);
        self.showing(is_pub(&item.vis), |this| visit::visit_item_trait(this, item));
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.name(&item.ident);
        self.showing(is_pub(&item.vis), |this| visit::visit_item_type(this, item));
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.showing(is_pub(&item.vis), |this| visit::visit_item_const(this, item));
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.showing(is_pub(&item.vis), |this| visit::visit_item_static(this, item));
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        // A trait's implementor does not choose its methods' names.
        if item.trait_.is_none() {
            for member in &item.items {
                if let syn::ImplItem::Fn(function) = member {
                    self.name(&function.sig.ident);
                }
            }
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.name(&item.sig.ident);
        self.showing(is_pub(&item.vis), |this| visit::visit_item_fn(this, item));
    }

    // A trait's implementor shows nothing of its own: its items are not `pub`.
    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.showing(is_pub(&item.vis), |this| visit::visit_impl_item_fn(this, item));
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.showing(is_pub(&item.vis), |this| visit::visit_impl_item_const(this, item));
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        self.showing(false, |this| visit::visit_block(this, block));
    }

    fn visit_expr(&mut self, expression: &'ast syn::Expr) {
        self.showing(false, |this| visit::visit_expr(this, expression));
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.name(&item.sig.ident);
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if let Some(token) = signature.asyncness {
            self.wait("async", token.span);
        }
        visit::visit_signature(self, signature);
    }

    fn visit_expr_async(&mut self, block: &'ast syn::ExprAsync) {
        self.wait("async", block.async_token.span);
        visit::visit_expr_async(self, block);
    }

    fn visit_expr_closure(&mut self, closure: &'ast syn::ExprClosure) {
        if let Some(token) = closure.asyncness {
            self.wait("async", token.span);
        }
        visit::visit_expr_closure(self, closure);
    }

    fn visit_expr_await(&mut self, expression: &'ast syn::ExprAwait) {
        self.wait("await", expression.await_token.span);
        visit::visit_expr_await(self, expression);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let word = self.word(&call.method, call.method.span());
        self.facts.methods.push(word);
        visit::visit_expr_method_call(self, call);
    }
}

/// Seen by everybody, not by the crate or a module alone.
const fn is_pub(visibility: &syn::Visibility) -> bool {
    matches!(visibility, syn::Visibility::Public(_))
}

/// The `mod tests` that closes a file: inline, compiled for tests alone, and its last item.
fn closing_tests(items: &[syn::Item]) -> Option<&syn::ItemMod> {
    match items.last() {
        Some(syn::Item::Mod(module)) if module.ident == "tests" && module.content.is_some() => {
            module.attrs.iter().any(is_cfg_test).then_some(module)
        }
        _ => None,
    }
}

fn is_cfg_test(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|word| word == "test")
}

fn logic(item: &syn::Item) -> Option<Logic> {
    use syn::spanned::Spanned;
    let kind = match item {
        syn::Item::Use(_) => return None,
        syn::Item::Mod(module) if module.content.is_none() || module.ident == "tests" => return None,
        syn::Item::Macro(call) if call.mac.path.is_ident("compile_error") => return None,
        syn::Item::Mod(_) => "an inline module",
        syn::Item::Fn(_) => "a function",
        syn::Item::Impl(_) => "an impl",
        syn::Item::Struct(_) | syn::Item::Enum(_) | syn::Item::Type(_) => "a type",
        syn::Item::Trait(_) => "a trait",
        syn::Item::Const(_) | syn::Item::Static(_) => "a constant",
        _ => "an item",
    };
    Some(Logic { kind, line: line(item.span()) })
}

fn first_line(attributes: &[syn::Attribute], keyword: Span) -> usize {
    attributes.first().map_or_else(|| line(keyword), |attribute| line(attribute.pound_token.spans[0]))
}

fn segments(path: &syn::Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

fn idents(stream: TokenStream, words: &mut Vec<String>) {
    for token in stream {
        match token {
            TokenTree::Ident(ident) => words.push(ident.to_string()),
            TokenTree::Group(group) => idents(group.stream(), words),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

fn line(span: Span) -> usize {
    span.start().line
}
