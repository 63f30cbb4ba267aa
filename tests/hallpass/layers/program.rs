//! The program's modules and what each one uses, with every path resolved as the compiler does it.
//!
//! Code for every platform is read, not only for the one at hand. Test code does not count. What a
//! value's type brings along (methods, fields) has no path and is not seen.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, Macro, Meta, UseTree};

/// The names of a path. The first one of an absolute path is `crate` or an external crate.
type Path = Vec<String>;

/// A module or a crate that a module uses, and where.
pub(super) struct Use {
    /// The top-level module that the code belongs to; `main` is the crate's root.
    pub(super) user: String,
    pub(super) used: String,
    pub(super) is_external: bool,
    pub(super) place: String,
}

pub(super) struct Program {
    /// By the module's absolute path.
    scopes: BTreeMap<Path, Scope>,
    crates: BTreeSet<String>,
    mentions: Vec<Mention>,
    unsafe_code: Vec<Path>,
    /// Modules that exist in tests only.
    test_modules: BTreeSet<Path>,
}

/// The names in a module.
#[derive(Default)]
struct Scope {
    children: BTreeSet<String>,
    imports: BTreeSet<(String, Path)>,
    globs: BTreeSet<Path>,
}

/// A path as it is written somewhere.
struct Mention {
    module: Path,
    path: Path,
    /// What a `use` calls it.
    import: Option<String>,
}

impl Program {
    /// Reads the root and, from there, each module that another one declares.
    pub(super) fn read(crates: &[&str], text_of: impl Fn(&[String]) -> Option<String>) -> Self {
        let mut program = Self {
            scopes: BTreeMap::new(),
            crates: crates.iter().map(ToString::to_string).collect(),
            mentions: Vec::new(),
            unsafe_code: Vec::new(),
            test_modules: BTreeSet::new(),
        };
        let mut pending = vec![vec!["crate".to_owned()]];
        while let Some(module) = pending.pop() {
            let text = text_of(&module[1..]).unwrap_or_else(|| panic!("{module:?} has no file"));
            let file = syn::parse_file(&text).unwrap_or_else(|e| panic!("{module:?}: {e}"));
            program.scopes.entry(module.clone()).or_default();
            let mut reader = Reader {
                program: &mut program,
                module,
                pending: &mut pending,
            };
            reader.visit_file(&file);
        }
        program.import_globs();
        program
    }

    /// The modules that the crate's root declares.
    pub(super) fn modules(&self) -> Vec<&str> {
        let root = &self.scopes[["crate".to_owned()].as_slice()];
        root.children.iter().map(String::as_str).collect()
    }

    /// Whether the module, or one around it, is part of the program or of its tests.
    pub(super) fn has_module(&self, module: &[String]) -> bool {
        let mut path = vec!["crate".to_owned()];
        path.extend_from_slice(module);
        self.scopes.contains_key(&path)
            || (1..=path.len()).any(|end| self.test_modules.contains(&path[..end]))
    }

    /// The top-level modules that have unsafe code.
    pub(super) fn unsafe_code(&self) -> BTreeSet<String> {
        let modules = self.unsafe_code.iter();
        modules.map(|module| top_level(module)).collect()
    }

    /// What the modules use besides themselves. A name that another module passes on counts twice:
    /// as that module, and as what it stands for.
    pub(super) fn uses(&self) -> Vec<Use> {
        let root = self.modules();
        let mut found = Vec::new();
        for mention in &self.mentions {
            let user = top_level(&mention.module);
            let mut meanings = BTreeSet::new();
            let import = mention.import.as_deref();
            if let Some(path) = self.absolute(&mention.module, &mention.path, import) {
                self.follow(&path, &mut meanings);
            }
            for meaning in meanings {
                let is_external = meaning[0] != "crate";
                let Some(name) = meaning.get(usize::from(!is_external)) else {
                    continue;
                };
                if *name != user && (is_external || root.contains(&name.as_str())) {
                    found.push(Use {
                        user: user.clone(),
                        used: name.clone(),
                        is_external,
                        place: format!(
                            "{} in {}",
                            mention.path.join("::"),
                            mention.module.join("::")
                        ),
                    });
                }
            }
        }
        found
    }

    /// The path from the crate's root or from an external crate; none for a local name, or one of
    /// the language. `import` is the name that a `use` gives to it.
    fn absolute(&self, module: &[String], path: &[String], import: Option<&str>) -> Option<Path> {
        let (first, mut rest) = path.split_first()?;
        let mut start = match first.as_str() {
            "::" => return (!rest.is_empty()).then(|| rest.to_vec()),
            "crate" => vec!["crate".to_owned()],
            "self" => module.to_vec(),
            "super" => module[..module.len().checked_sub(1)?].to_vec(),
            name => {
                let scope = &self.scopes[module];
                // `use tempfile::tempfile` does not begin with itself.
                let is_imported = scope.imports.iter().any(|(known, _)| known == name);
                if scope.children.contains(name) || is_imported && import != Some(name) {
                    return Some([module, path].concat());
                }
                // A single name is a variable far more often than a crate.
                let is_crate = self.crates.contains(name) && (path.len() > 1 || import.is_some());
                return is_crate.then(|| path.to_vec());
            }
        };
        while let Some((_, after)) = rest.split_first().filter(|(name, _)| *name == "super") {
            start.pop()?;
            rest = after;
        }
        start.extend_from_slice(rest);
        Some(start)
    }

    /// Adds the absolute path, and what it stands for wherever a part of it is an import.
    fn follow(&self, path: &[String], meanings: &mut BTreeSet<Path>) {
        // Two imports that begin with each other would never end.
        let is_endless = path.len() > 32;
        if is_endless || !meanings.insert(path.to_vec()) || path[0] != "crate" {
            return;
        }
        for (end, name) in path.iter().enumerate().skip(1) {
            let Some(scope) = self.scopes.get(&path[..end]) else {
                return;
            };
            if scope.children.contains(name) {
                continue;
            }
            for (_, target) in scope.imports.iter().filter(|(known, _)| known == name) {
                if let Some(mut target) = self.absolute(&path[..end], target, Some(name)) {
                    target.extend_from_slice(&path[end + 1..]);
                    self.follow(&target, meanings);
                }
            }
            return;
        }
    }

    /// Turns each glob import of our own modules into one import for each name.
    fn import_globs(&mut self) {
        loop {
            let mut added = Vec::new();
            for (module, scope) in &self.scopes {
                for glob in &scope.globs {
                    let mut targets = BTreeSet::new();
                    if let Some(target) = self.absolute(module, glob, Some("*")) {
                        self.follow(&target, &mut targets);
                    }
                    for target in targets {
                        let Some(names) = self.scopes.get(&target) else {
                            continue;
                        };
                        let imported = names.imports.iter().map(|(name, _)| name);
                        for name in names.children.iter().chain(imported) {
                            let import =
                                (name.clone(), [&target, &vec![name.clone()][..]].concat());
                            let is_own = scope.children.contains(name) || target == *module;
                            if !is_own && !scope.imports.iter().any(|(known, _)| known == name) {
                                added.push((module.clone(), import));
                            }
                        }
                    }
                }
            }
            if added.is_empty() {
                return;
            }
            for (module, import) in added {
                self.scopes
                    .entry(module)
                    .or_default()
                    .imports
                    .insert(import);
            }
        }
    }
}

fn top_level(module: &[String]) -> String {
    module.get(1).map_or("main", String::as_str).to_owned()
}

/// Collects the imports and paths of one file.
struct Reader<'a> {
    program: &'a mut Program,
    module: Path,
    /// Modules whose files have yet to be read.
    pending: &'a mut Vec<Path>,
}

impl Reader<'_> {
    fn child(&self, name: &syn::Ident) -> Path {
        [self.module.as_slice(), &[name.to_string()]].concat()
    }

    fn scope(&mut self) -> &mut Scope {
        self.program.scopes.entry(self.module.clone()).or_default()
    }

    fn mention(&mut self, path: Path, import: Option<String>) {
        self.program.mentions.push(Mention {
            module: self.module.clone(),
            path,
            import,
        });
    }

    fn has_unsafe_code(&mut self) {
        self.program.unsafe_code.push(self.module.clone());
    }

    /// The leaves of a `use`.
    fn import(&mut self, tree: &UseTree, mut path: Path) {
        match tree {
            UseTree::Path(tree) => {
                path.push(tree.ident.to_string());
                self.import(&tree.tree, path);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, path.clone());
                }
            }
            UseTree::Name(name) => self.import_as(path, &name.ident, &name.ident),
            UseTree::Rename(rename) => self.import_as(path, &rename.ident, &rename.rename),
            UseTree::Glob(_) => {
                self.scope().globs.insert(path.clone());
                self.mention(path, Some("*".to_owned()));
            }
        }
    }

    fn import_as(&mut self, mut path: Path, last: &syn::Ident, name: &syn::Ident) {
        let mut name = name.to_string();
        if path.is_empty() || last != "self" {
            path.push(last.to_string());
        } else if name == "self" {
            name.clone_from(&path[path.len() - 1]);
        }
        self.scope().imports.insert((name.clone(), path.clone()));
        self.mention(path, Some(name));
    }

    /// The paths in the arguments of a macro, whatever its syntax is.
    fn tokens(&mut self, tokens: TokenStream, prefix: &[String]) {
        let mut path = prefix.to_vec();
        let mut colons = 0;
        for token in tokens {
            // Whether this token continues the path.
            let follows = colons == 2 || path.is_empty() || path == prefix;
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Ident(name) => {
                    if name == "unsafe" {
                        self.has_unsafe_code();
                    }
                    if !follows {
                        self.mention(std::mem::replace(&mut path, prefix.to_vec()), None);
                    }
                    path.push(name.to_string());
                }
                TokenTree::Group(group) => {
                    let inner = if colons == 2 { path.as_slice() } else { &[] };
                    self.tokens(group.stream(), inner);
                    self.mention(std::mem::replace(&mut path, prefix.to_vec()), None);
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.mention(std::mem::replace(&mut path, prefix.to_vec()), None);
                }
            }
            colons = 0;
        }
        self.mention(path, None);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let is_test = is_for_tests(attributes(item));
        match item {
            Item::Mod(module) if is_test => {
                let path = self.child(&module.ident);
                self.program.test_modules.insert(path);
            }
            _ if is_test => {}
            Item::Mod(module) => {
                let files = files_of(&module.attrs);
                for file in &files {
                    // Each platform's file is a module of its own, and the name stands for them all.
                    let path = [self.module.as_slice(), std::slice::from_ref(file)].concat();
                    let scope = self.scope();
                    scope.children.insert(file.clone());
                    scope.imports.insert((
                        module.ident.to_string(),
                        vec!["self".to_owned(), file.clone()],
                    ));
                    self.pending.push(path);
                }
                if !files.is_empty() {
                    return;
                }
                let path = self.child(&module.ident);
                self.scope().children.insert(module.ident.to_string());
                if module.content.is_some() {
                    let outer = std::mem::replace(&mut self.module, path);
                    self.scope();
                    visit::visit_item_mod(self, module);
                    self.module = outer;
                } else {
                    self.pending.push(path);
                }
            }
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            ImplItem::Macro(item) => &item.attrs,
            _ => &Vec::new(),
        };
        if !is_for_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let start = item.leading_colon.as_ref().map(|_| "::".to_owned());
        self.import(&item.tree, start.into_iter().collect());
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        let name = item.rename.as_ref().map_or(&item.ident, |(_, name)| name);
        let path = vec!["::".to_owned()];
        self.import_as(path, &item.ident, name);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string());
        let start = path.leading_colon.as_ref().map(|_| "::".to_owned());
        if !path.segments.is_empty() {
            self.mention(start.into_iter().chain(names).collect(), None);
        }
        visit::visit_path(self, path);
    }

    /// `pub(crate)` and its like use nothing.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_macro(&mut self, call: &'ast Macro) {
        visit::visit_macro(self, call);
        self.tokens(call.tokens.clone(), &[]);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let path = attribute.path();
        if path.is_ident("unsafe") {
            self.has_unsafe_code();
        }
        visit::visit_attribute(self, attribute);
        if let Meta::List(list) = &attribute.meta {
            self.tokens(list.tokens.clone(), &[]);
        }
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.has_unsafe_code();
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if matches!(signature.safety, syn::Safety::Unsafe(_)) {
            self.has_unsafe_code();
        }
        visit::visit_signature(self, signature);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if item.unsafety.is_some() {
            self.has_unsafe_code();
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        if item.unsafety.is_some() {
            self.has_unsafe_code();
        }
        visit::visit_item_trait(self, item);
    }

    fn visit_item_foreign_mod(&mut self, item: &'ast syn::ItemForeignMod) {
        self.has_unsafe_code();
        visit::visit_item_foreign_mod(self, item);
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let Meta::List(list) = &attribute.meta else {
            return false;
        };
        let condition = list.tokens.to_string().replace(' ', "");
        let is_test = ["test", "any(test,fuzzing)"].contains(&condition.as_str());
        list.path.is_ident("cfg") && (is_test || condition.starts_with("all(test,"))
    })
}

/// The names of the files that `path` attributes give to a module, without folder and extension.
fn files_of(attributes: &[Attribute]) -> Vec<String> {
    let mut files = Vec::new();
    for attribute in attributes {
        let tokens = match &attribute.meta {
            Meta::List(list) if list.path.is_ident("cfg_attr") => list.tokens.to_string(),
            _ => continue,
        };
        let Some((_, file)) = tokens.split_once("path = \"") else {
            continue;
        };
        let (file, _) = file.split_once(".rs\"").unwrap_or_default();
        files.push(file.rsplit('/').next().unwrap_or_default().to_owned());
    }
    files
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
