//! Directories: what they hold is copied, many files and some directories at a time.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sternline_proto::files::{is_partial, is_partial_of};
use sternline_proto::text::escape_bytes;
use tokio::sync::{OnceCell, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::ahead::Going;
use super::batch::Batches;
use super::commit::usual_mode;
use super::file::{Done, FileJob, partials_of, refuse, report};
use super::path::{join, name};
use super::remove::{remove_tree, remove_tree_but};
use super::run::Run;
use crate::error::{Error, ErrorKind, Result};
use crate::transfer::place::{Change, Entry, Kind, Meta, Place};
use crate::transfer::request::Symlinks;
use crate::transfer::result::{FileOutcome, SkipReason};

/// How many directories are looked at at once.
const DIRECTORIES: usize = 16;

/// What the owner needs to work in a directory.
pub(super) const OWNER: u32 = 0o700;

/// A tree to copy.
pub(super) struct Tree {
    /// Its root on the sending side.
    pub(super) src: Vec<u8>,
    pub(super) meta: Meta,
    /// What its root is to be.
    pub(super) dst: Vec<u8>,
}

/// Copies a tree. What goes wrong with single files is reported; an error is about the tree as a whole.
pub(super) async fn copy_tree(run: &Arc<Run>, tree: Tree) -> Result<()> {
    let existing = run.to.lstat(&tree.dst).await?;
    let root = match existing {
        None => None,
        Some(meta) => {
            let is_directory = match meta.kind {
                Kind::Symlink => run
                    .to
                    .stat(&tree.dst)
                    .await?
                    .is_some_and(|meta| meta.kind == Kind::Directory),
                kind => kind == Kind::Directory,
            };
            if !is_directory {
                return Err(no_directory(&tree.dst));
            }
            Some(run.to.real_path(&tree.dst).await?)
        }
    };
    let (actual, exists, unseen) = match root {
        Some(root) => (root, true, false),
        None if run.options.dry_run => (tree.dst.clone(), false, false),
        None => {
            let (partial, adopted) = unseen_root(run, &tree.dst).await?;
            (partial, adopted, true)
        }
    };
    let to = if exists || unseen {
        run.to.beneath(&actual).await?
    } else {
        run.to.clone()
    };
    let walk = Arc::new(Walk {
        run: Arc::clone(run),
        to,
        root: actual.clone(),
        acls: OnceCell::new(),
        batches: Batches::wanted(run, &tree.src, &actual).await.map(Arc::new),
        unseen,
        surplus: Mutex::default(),
    });
    if exists && !unseen && !run.options.dry_run {
        // By the time that the first file needs it, it is known.
        let early = Arc::clone(&walk);
        tokio::spawn(async move { early.has_acl(&early.root).await });
    }
    let mut change = directory_change(run, &tree.meta, !exists || unseen);
    if unseen && change.mode.is_none() {
        // It was made for nobody else to see.
        change.mode = Some(usual_mode(&tree.meta) & !run.made(&join(&actual, b"new")).await?.umask);
    }
    let node = Node::root(actual.clone(), change);
    let empty = walk
        .all(Directory {
            src: tree.src.clone(),
            dst: actual.clone(),
            shown: tree.dst.clone(),
            relative: Vec::new(),
            exists,
            make: None,
            is_root: true,
            through_link: false,
            node,
        })
        .await;
    if let Some(batches) = &walk.batches {
        batches.finish(run).await;
    }
    if unseen {
        run.to.rename(&actual, &tree.dst).await?;
        run.settle(&actual);
    }
    if run.options.delete {
        remove_surplus(run, &walk, &tree.src, empty).await?;
    }
    Ok(())
}

/// The directory in which a new tree is built, and whether it holds something already: what an interrupted transfer left.
async fn unseen_root(run: &Run, dst: &[u8]) -> Result<(Vec<u8>, bool)> {
    if run.options.resume {
        let left = partials_of(&run.to, dst, Kind::Directory).await?;
        let mut left = Box::pin(run.own(left, dst)).await?.into_iter();
        if let Some((partial, _)) = left.next() {
            for (other, _) in left {
                remove_tree(&run.to, &other).await?;
            }
            run.watch_over(&partial, true);
            return Ok((partial, true));
        }
    }
    let partial = run.partial(dst, true)?;
    if let Err(error) = run.to.mkdir(&partial, OWNER).await {
        run.settle(&partial);
        return Err(error);
    }
    Ok((partial, false))
}

/// What a directory is given when all that it holds is there.
pub(super) fn directory_change(run: &Run, source: &Meta, is_new: bool) -> Change {
    let kept = run.options.preserve;
    let mode = if kept {
        source.mode
    } else {
        // It was made with what its owner needs to fill it, and has too much then.
        is_new
            .then(|| usual_mode(source))
            .filter(|mode| mode & OWNER != OWNER)
    };
    Change {
        mode,
        times: kept.then_some(source.times).flatten(),
        owner: None,
    }
}

async fn remove_surplus(run: &Run, walk: &Walk, src: &[u8], empty: bool) -> Result<()> {
    let surplus = std::mem::take(&mut *walk.surplus.lock().unwrap_or_else(PoisonError::into_inner));
    if surplus.is_empty() {
        return Ok(());
    }
    if !run.report.is_clean() {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!(
                "nothing was removed ({} entries), because not everything was copied",
                surplus.len()
            ),
        )
        .with_hint("mend what failed, then copy again"));
    }
    if empty && !run.options.allow_empty {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!(
                "nothing was removed, because {} holds nothing to copy",
                escape_bytes(src)
            ),
        )
        .with_hint("if the target is to be emptied, allow an empty source (--allow-empty)"));
    }
    for surplus in surplus {
        let begun = Instant::now();
        let removed = remove_entry(run, &walk.to, &surplus).await;
        let done = removed.map(|removed| match removed {
            true => Done {
                bytes: 0,
                outcome: FileOutcome::Removed,
                warning: None,
            },
            false => Done::skipped(SkipReason::Excluded),
        });
        report(run, b"", &surplus.shown, None, begun, done);
    }
    Ok(())
}

/// Removes what the source has not. `false`: a directory stays, with what the filter excludes in it.
async fn remove_entry(run: &Run, to: &Place, surplus: &Surplus) -> Result<bool> {
    let dry_run = run.options.dry_run;
    if surplus.kind != Kind::Directory {
        if !dry_run {
            to.remove(&surplus.path).await?;
        }
        return Ok(true);
    }
    if run.options.filter.is_empty() {
        if !dry_run {
            remove_tree(to, &surplus.path).await?;
        }
        return Ok(true);
    }
    let is_kept = |below: &[u8], is_directory| {
        let relative = join(&surplus.relative, below);
        !run.options.filter.decide(&relative, is_directory)
    };
    remove_tree_but(to, &surplus.path, is_kept, dry_run).await
}

/// A tree that is being copied.
struct Walk {
    run: Arc<Run>,
    /// The receiving side, confined to this tree: what comes from a server leads nowhere else.
    to: Place,
    /// Where the tree is.
    root: Vec<u8>,
    /// Whether it is built where nobody sees it, under a name that nothing else has.
    unseen: bool,
    /// The files that are there and have an access control list, once that is of interest.
    acls: OnceCell<HashSet<Vec<u8>>>,
    /// Where small files go together.
    batches: Option<Arc<Batches>>,
    /// What the target has and the source has not.
    surplus: Mutex<Vec<Surplus>>,
}

struct Surplus {
    path: Vec<u8>,
    /// Below the root of the tree.
    relative: Vec<u8>,
    /// As people know it.
    shown: Vec<u8>,
    kind: Kind,
}

/// A directory to copy.
struct Directory {
    src: Vec<u8>,
    dst: Vec<u8>,
    shown: Vec<u8>,
    /// Below the root of the tree.
    relative: Vec<u8>,
    /// Whether it is there already.
    exists: bool,
    /// With which permission bits it has to be made first.
    make: Option<u32>,
    is_root: bool,
    /// Whether a symbolic link in the target leads to it. What it holds besides is somebody else's.
    through_link: bool,
    node: Arc<Node>,
}

/// A directory that is not complete yet. Its times and mode can be set only when it is.
pub(super) struct Node {
    dst: Vec<u8>,
    change: Change,
    parent: Option<Arc<Node>>,
    /// Itself, and the directories below that are not complete.
    left: AtomicUsize,
}

impl Node {
    fn root(dst: Vec<u8>, change: Change) -> Arc<Self> {
        Arc::new(Self {
            dst,
            change,
            parent: None,
            left: AtomicUsize::new(1),
        })
    }

    fn below(self: &Arc<Self>, dst: Vec<u8>, change: Change) -> Arc<Self> {
        self.left.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self {
            dst,
            change,
            parent: Some(Arc::clone(self)),
            left: AtomicUsize::new(1),
        })
    }

    /// Something in it is not done yet.
    pub(super) fn hold(&self) {
        self.left.fetch_add(1, Ordering::Relaxed);
    }

    /// The directory's own part is done, or something in it; those above may be complete with it.
    pub(super) async fn done(self: &Arc<Self>, to: &Place) -> Result<()> {
        let mut node = Some(self);
        while let Some(complete) = node.filter(|node| node.left.fetch_sub(1, Ordering::AcqRel) == 1) {
            if !complete.change.is_nothing() {
                to.change(&complete.dst, complete.change).await?;
            }
            node = complete.parent.as_ref();
        }
        Ok(())
    }
}

impl Walk {
    /// Copies all directories from this one on. Whether it held nothing that was to be copied.
    async fn all(self: &Arc<Self>, root: Directory) -> bool {
        let (found, mut more) = mpsc::unbounded_channel();
        // The last one found comes first, so that few are waiting.
        let mut waiting = vec![root];
        let mut running = JoinSet::new();
        let mut empty = false;
        loop {
            while running.len() < DIRECTORIES
                && let Some(directory) = waiting.pop()
            {
                let (walk, found) = (Arc::clone(self), found.clone());
                running.spawn(async move { walk.one(directory, &found).await });
            }
            tokio::select! {
                biased;
                Some(directory) = more.recv() => waiting.push(directory),
                ended = running.join_next() => match ended {
                    Some(ended) => empty |= self.run.ended(ended) == Some(true),
                    None if more.is_empty() => return empty,
                    None => {}
                },
            }
        }
    }

    /// Copies one directory, and tells of those in it. Whether it is the root and held nothing.
    async fn one(self: &Arc<Self>, directory: Directory, found: &mpsc::UnboundedSender<Directory>) -> bool {
        let begun = Instant::now();
        match self.try_one(&directory, found).await {
            Ok(nothing) => nothing && directory.is_root,
            Err(error) => {
                report(
                    &self.run,
                    &directory.src,
                    &directory.shown,
                    None,
                    begun,
                    Err(error),
                );
                false
            }
        }
    }

    async fn try_one(
        self: &Arc<Self>,
        directory: &Directory,
        found: &mpsc::UnboundedSender<Directory>,
    ) -> Result<bool> {
        let run = &self.run;
        let there = async {
            if let Some(mode) = directory.make {
                self.make(directory, mode).await?;
            }
            if directory.exists {
                self.to.list(&directory.dst).await
            } else {
                Ok(Vec::new())
            }
        };
        let (entries, there) = tokio::try_join!(run.from.list(&directory.src), there)?;
        let there: Vec<Entry> = there.into_iter().collect::<Result<_>>()?;
        let existing: HashMap<&[u8], &Meta> = there
            .iter()
            .map(|entry| (entry.name.as_slice(), &entry.meta))
            .collect();
        let mut names = HashSet::new();
        let mut nothing = true;
        let mut going = Going::default();
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    report(
                        run,
                        &directory.src,
                        &directory.shown,
                        None,
                        Instant::now(),
                        Err(error),
                    );
                    continue;
                }
            };
            if self.unseen && entry.name == name(&self.root) {
                // It is what is being made here: the tree is copied into itself, and would never come to an end.
                continue;
            }
            let child = self.child(directory, &entry);
            if !run
                .options
                .filter
                .decide(&child.relative, entry.meta.kind == Kind::Directory)
            {
                child.skip(run, SkipReason::Excluded);
                continue;
            }
            nothing = false;
            if run.options.delete {
                names.insert(entry.name.clone());
            }
            let begun = Instant::now();
            let (src, shown) = (child.src.clone(), child.shown.clone());
            let started = self
                .start(directory, &there, &existing, entry, child, found, &mut going)
                .await;
            if let Err(error) = started {
                report(run, &src, &shown, None, begun, Err(error));
            }
            while let Some(ended) = going.tasks.try_join_next() {
                run.ended(ended);
            }
        }
        if run.options.delete && !directory.through_link {
            self.note_surplus(directory, &there, &names);
        }
        going.finish(run).await;
        if !run.options.dry_run {
            directory.node.done(&self.to).await?;
        }
        Ok(nothing)
    }

    fn child(&self, directory: &Directory, entry: &Entry) -> Child {
        Child {
            src: join(&directory.src, &entry.name),
            dst: join(&directory.dst, &entry.name),
            shown: join(&directory.shown, &entry.name),
            relative: join(&directory.relative, &entry.name),
        }
    }

    /// Begins with one entry of a directory.
    #[expect(clippy::too_many_arguments, reason = "they are the loop around it")]
    async fn start(
        self: &Arc<Self>,
        directory: &Directory,
        there: &[Entry],
        existing: &HashMap<&[u8], &Meta>,
        entry: Entry,
        child: Child,
        found: &mpsc::UnboundedSender<Directory>,
        going: &mut Going,
    ) -> Result<()> {
        let run = &self.run;
        let (name, mut meta) = (entry.name, entry.meta);
        let old = existing.get(name.as_slice()).copied().cloned();
        if meta.kind == Kind::Symlink {
            match run.options.symlinks {
                Symlinks::Skip => {
                    child.skip(run, SkipReason::Symlink);
                    return Ok(());
                }
                Symlinks::Keep => {
                    let permit = Arc::clone(&run.files).acquire_owned().await;
                    let walk = Arc::clone(self);
                    going.tasks.spawn(async move {
                        let _permit = permit;
                        walk.link(child, meta, old).await;
                    });
                    return Ok(());
                }
                Symlinks::Follow => {
                    meta = run
                        .from
                        .stat(&child.src)
                        .await?
                        .ok_or_else(|| refuse(&child.src, "is a symbolic link that leads nowhere"))?;
                    if meta.kind == Kind::Directory {
                        self.refuse_loop(&child.src, directory).await?;
                    }
                }
            }
        }
        match meta.kind {
            Kind::Directory => {
                let next = self.enter(directory, child, meta, old).await?;
                // The other end lives as long as this walk.
                let _ = found.send(next);
            }
            Kind::File => {
                let partials = run.options.resume.then(|| {
                    let left = there.iter().filter(|entry| is_partial_of(&entry.name, &name));
                    left.filter(|entry| entry.meta.kind == Kind::File)
                        .cloned()
                        .collect()
                });
                let keeps_acl = match &old {
                    Some(_) if !self.unseen && !run.options.dry_run => self.has_acl(&child.dst).await,
                    _ => false,
                };
                let mut job = FileJob {
                    keeps_acl,
                    to: self.to.clone(),
                    src: child.src,
                    dst: child.dst,
                    shown: child.shown,
                    meta,
                    existing: old,
                    unseen: self.unseen,
                    partials,
                    data: None,
                };
                if let Some(batches) = &self.batches {
                    match batches.take(run, job, &directory.node).await {
                        None => return Ok(()),
                        Some(given_back) => job = given_back,
                    }
                }
                going.copy(run, job).await;
            }
            Kind::Other | Kind::Symlink => child.skip(run, SkipReason::Special),
        }
        Ok(())
    }

    async fn has_acl(&self, path: &[u8]) -> bool {
        let acls = self.acls.get_or_init(|| self.to.extended_acls(&self.root));
        acls.await.contains(path)
    }

    /// A link that leads to a directory above itself would never come to an end.
    async fn refuse_loop(&self, src: &[u8], directory: &Directory) -> Result<()> {
        let (real, above) = tokio::try_join!(
            self.run.from.real_path(src),
            self.run.from.real_path(&directory.src)
        )?;
        let rest = above.strip_prefix(real.as_slice());
        if rest.is_some_and(|rest| rest.is_empty() || rest.first() == Some(&b'/') || real == b"/") {
            return Err(refuse(src, "is a symbolic link to a directory that it lies in"));
        }
        Ok(())
    }

    /// What is to be done with a directory below.
    async fn enter(
        &self,
        directory: &Directory,
        child: Child,
        meta: Meta,
        old: Option<Meta>,
    ) -> Result<Directory> {
        let run = &self.run;
        let exists = match old.as_ref().map(|old| old.kind) {
            None => false,
            Some(Kind::Directory) => true,
            Some(Kind::Symlink) => {
                let led_to = self.to.stat(&child.dst).await?;
                led_to
                    .filter(|meta| meta.kind == Kind::Directory)
                    .ok_or_else(|| no_directory(&child.dst))?;
                true
            }
            Some(_) => return Err(no_directory(&child.dst)),
        };
        let change = directory_change(run, &meta, !exists);
        Ok(Directory {
            node: directory.node.below(child.dst.clone(), change),
            src: child.src,
            dst: child.dst,
            shown: child.shown,
            relative: child.relative,
            exists,
            make: (!exists).then_some(usual_mode(&meta) | OWNER),
            is_root: false,
            through_link: directory.through_link || old.is_some_and(|old| old.kind == Kind::Symlink),
        })
    }

    async fn make(&self, directory: &Directory, mode: u32) -> Result<()> {
        let begun = Instant::now();
        if self.run.options.dry_run || self.to.mkdir(&directory.dst, mode).await? {
            let made = Done {
                bytes: 0,
                outcome: FileOutcome::Made,
                warning: None,
            };
            report(&self.run, &directory.src, &directory.shown, None, begun, Ok(made));
        }
        Ok(())
    }

    /// Makes a symbolic link like the one of the source.
    async fn link(&self, child: Child, meta: Meta, old: Option<Meta>) {
        let begun = Instant::now();
        let done = self.try_link(&child, &meta, old).await;
        report(&self.run, &child.src, &child.shown, None, begun, done);
    }

    async fn try_link(&self, child: &Child, meta: &Meta, old: Option<Meta>) -> Result<Done> {
        let run = &self.run;
        let times = Change {
            times: run.options.preserve.then_some(meta.times).flatten(),
            ..Change::default()
        };
        let leads_to = run.from.read_link(&child.src).await?;
        match old.map(|old| old.kind) {
            Some(Kind::Directory) => {
                return Err(refuse(
                    &child.dst,
                    "is a directory, and the source is a symbolic link",
                ));
            }
            Some(Kind::Symlink) if self.to.read_link(&child.dst).await? == leads_to => {
                return Ok(Done::skipped(SkipReason::Unchanged));
            }
            _ if run.options.dry_run => {}
            None => {
                self.to.symlink(&leads_to, &child.dst).await?;
                self.to.change_link(&child.dst, times).await?;
            }
            Some(_) => {
                let partial = run.partial(&child.dst, false)?;
                let made = async {
                    self.to.symlink(&leads_to, &partial).await?;
                    self.to.change_link(&partial, times).await?;
                    self.to.rename(&partial, &child.dst).await
                };
                match made.await {
                    Ok(()) => run.settle(&partial),
                    Err(error) => {
                        run.give_up(&partial).await;
                        return Err(error);
                    }
                }
            }
        }
        Ok(Done {
            bytes: 0,
            outcome: FileOutcome::Copied,
            warning: None,
        })
    }

    /// Remembers what the target has and the source has not. What the filter excludes is nobody's business, and neither
    /// is what a transfer that goes on at this moment has not completed.
    fn note_surplus(&self, directory: &Directory, there: &[Entry], names: &HashSet<Vec<u8>>) {
        let surplus = there.iter().filter(|entry| {
            let relative = join(&directory.relative, &entry.name);
            !names.contains(&entry.name)
                && !is_partial(&entry.name)
                && self
                    .run
                    .options
                    .filter
                    .decide(&relative, entry.meta.kind == Kind::Directory)
        });
        let surplus = surplus.map(|entry| Surplus {
            path: join(&directory.dst, &entry.name),
            relative: join(&directory.relative, &entry.name),
            shown: join(&directory.shown, &entry.name),
            kind: entry.meta.kind,
        });
        self.surplus
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(surplus);
    }
}

/// An entry of a directory that is being copied.
struct Child {
    src: Vec<u8>,
    dst: Vec<u8>,
    shown: Vec<u8>,
    relative: Vec<u8>,
}

impl Child {
    fn skip(self, run: &Run, reason: SkipReason) {
        report(
            run,
            &self.src,
            &self.shown,
            None,
            Instant::now(),
            Ok(Done::skipped(reason)),
        );
    }
}

fn no_directory(path: &[u8]) -> Error {
    refuse(path, "is no directory, and the source is one").with_hint("remove it, or choose another target")
}

/// Counts the files of a tree and their bytes, and tells now and then how far it has got.
pub(super) async fn count_tree(run: &Run, place: &Place, src: &[u8], so_far: &mut (u64, u64)) -> Result<()> {
    let mut left = vec![(src.to_vec(), Vec::new())];
    while let Some((path, relative)) = left.pop() {
        for entry in place.list(&path).await?.into_iter().flatten() {
            let below = join(&relative, &entry.name);
            let is_directory = entry.meta.kind == Kind::Directory;
            if !run.options.filter.decide(&below, is_directory) {
                continue;
            }
            match entry.meta.kind {
                Kind::Directory => left.push((join(&path, &entry.name), below)),
                Kind::File => {
                    so_far.0 += 1;
                    so_far.1 += entry.meta.size;
                }
                Kind::Symlink | Kind::Other => {}
            }
        }
        run.report.found(so_far.0, so_far.1, false);
    }
    Ok(())
}
